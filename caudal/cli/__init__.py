"""The one command. Stages are imported by the verb that needs them, so that help answers at once."""
