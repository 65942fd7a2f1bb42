"""What a login of one tenant can get hold of: its own rows, by every road that PostgreSQL has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
from psycopg import errors, sql

from caudal.settings import Settings
from serving.warehouse import app, logins, verify
from serving.warehouse.settings import WarehouseSettings
from tests.support.warehouse import CUSTOMERS, DECLARED, HEALTH, ORDERS, Gold, Login, order, rows

Road = Callable[[psycopg.Connection, str], set[str]]
MARTS = ("fct_orders", "dim_customers")


@pytest.fixture(autouse=True)
def published(settings: Settings, gold: Gold) -> None:
    """Two tenants in every mart, one mart of no tenant, and one mart that was changed after its first copy."""
    gold.write("fct_orders", ORDERS, [order("north", 1), order("south", 2)])
    gold.write(
        "dim_customers",
        CUSTOMERS,
        [{"tenant_id": t, "customer_id": "1", "customer_email": f"{t[:2]}***@x.com"} for t in ("north", "south")],
    )
    gold.write("ops_health", HEALTH, [{"contract": "commerce.order", "rows": 2}])
    gold.publish("fct_orders", "dim_customers", "ops_health")
    app.once(settings, DECLARED)
    gold.write("fct_orders", ORDERS, [order("north", 3), order("south", 4)])
    gold.publish("fct_orders", "dim_customers", "ops_health")
    app.once(settings, DECLARED)


def by_select(link: psycopg.Connection, mart: str) -> set[str]:
    return {tenant for (tenant,) in link.execute(f"SELECT tenant_id FROM gold.{mart}").fetchall()}


def by_predicate(link: psycopg.Connection, mart: str) -> set[str]:
    """Asks for the other tenant by its name."""
    query = f"SELECT tenant_id FROM gold.{mart} WHERE tenant_id = 'south' OR tenant_id IS NOT NULL"
    return {tenant for (tenant,) in link.execute(query).fetchall()}


def by_copy(link: psycopg.Connection, mart: str) -> set[str]:
    """A view is copied as a query, a table also as itself."""
    sources = [f"(SELECT tenant_id FROM gold.{mart})", *([f"gold.{mart} (tenant_id)"] if mart == "fct_orders" else [])]
    found: list[bytes] = []
    for source in sources:
        with link.cursor() as cursor, cursor.copy(f"COPY {source} TO STDOUT") as copy:
            found += [bytes(part) for part in copy]
    return {line.decode().strip() for line in found}


def by_views(link: psycopg.Connection, mart: str) -> set[str]:
    """Views of the publisher: one that runs as itself, one as who asks."""
    return {
        tenant
        for view in ("as_owner", "as_caller")
        for (tenant,) in link.execute(f"SELECT tenant_id FROM public.{mart}_{view}").fetchall()
    }


def by_functions(link: psycopg.Connection, mart: str) -> set[str]:
    """Functions of the publisher: one with its rights, and a cheap one that tells every value it is given."""
    told: list[str] = []
    link.add_notice_handler(lambda notice: told.append(notice.message_primary or ""))
    found = link.execute(f"SELECT public.{mart}_definer()").fetchall()
    link.execute(f"SELECT FROM gold.{mart} WHERE public.tells(tenant_id)")
    return {tenant for (tenant,) in found} | set(told)


def by_catalogue(link: psycopg.Connection, mart: str) -> set[str]:
    """Values that statistics keep of a column; the owner rows themselves when there are none."""
    kept = link.execute("SELECT most_common_vals::text FROM pg_stats WHERE schemaname LIKE 'gold%'").fetchall()
    assert kept == []
    return by_select(link, mart)


ROADS: tuple[Road, ...] = (by_select, by_predicate, by_copy, by_views, by_functions, by_catalogue)


@pytest.fixture
def objects(publisher: psycopg.Connection) -> None:
    """Views and functions with which a careless administrator might open a door."""
    publisher.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
    publisher.execute(
        "CREATE FUNCTION public.tells(value text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 "
        "AS $$ BEGIN RAISE NOTICE '%', value; RETURN true; END $$"
    )
    for mart in MARTS:
        for statement in (
            "CREATE VIEW public.{0}_as_owner AS SELECT tenant_id FROM gold.{0}",
            "CREATE VIEW public.{0}_as_caller WITH (security_invoker) AS SELECT tenant_id FROM gold.{0}",
            "CREATE FUNCTION public.{0}_definer() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER "
            "AS 'SELECT tenant_id FROM gold.{0}'",
            "GRANT SELECT ON public.{0}_as_owner, public.{0}_as_caller TO PUBLIC",
        ):
            publisher.execute(statement.format(mart))


@pytest.mark.parametrize("road", ROADS, ids=lambda road: road.__name__)
def test_a_tenant_sees_its_rows_and_no_others(objects: None, login: Login, road: Road) -> None:
    """In every mart, by every road; somebody who is no tenant of any row sees none."""
    north, nobody = login("north"), login("nobody")
    for mart in MARTS:
        assert road(north, mart) == {"north"}, mart
        assert road(nobody, mart) == set(), mart


def test_a_function_of_an_operator_opens_no_door(login: Login, postgres_admin: str) -> None:
    """Though it runs with the operator's rights, it shows the rows of who logged in."""
    operator, north = login(None), login("north")
    call = "SELECT public.everything()"
    with psycopg.connect(postgres_admin, dbname=north.info.dbname, autocommit=True) as administrator:
        administrator.execute(
            "CREATE FUNCTION public.everything() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER "
            "AS 'SELECT tenant_id FROM gold.fct_orders'"
        )
        administrator.execute(f"ALTER FUNCTION public.everything() OWNER TO {operator.info.user}")
        assert {tenant for (tenant,) in rows(operator, call)} == {"north", "south"}
        assert {tenant for (tenant,) in rows(north, call)} == {"north"}
        administrator.execute("DROP FUNCTION public.everything()")


def test_a_tenants_query_goes_by_the_key(settings: Settings, gold: Gold, login: Login) -> None:
    """Row-level security does not read other tenants' rows to throw them away."""
    gold.write("fct_orders", ORDERS, [order(f"t{number}", number) for number in range(5000)])
    gold.publish("fct_orders", "dim_customers", "ops_health")
    app.once(settings, DECLARED, whole=True)
    found = rows(login("t7"), "EXPLAIN SELECT sum(total) FROM gold.fct_orders")
    plan = "\n".join(line for (line,) in found)
    assert "Index Cond: (tenant_id =" in plan
    assert "Seq Scan" not in plan


def test_an_operator_sees_all_tenants(login: Login) -> None:
    """And the marts that belong to no tenant."""
    operator = login(None)
    assert by_select(operator, "fct_orders") == {"north", "south"}
    assert rows(operator, "SELECT * FROM gold.ops_health") == [("commerce.order", 2)]
    assert len(rows(operator, "SELECT rows FROM caudal.published")) == 3


def test_what_is_not_granted_is_refused(login: Login) -> None:
    """Operators' marts, row counts of all tenants, masks, writing, making objects, becoming somebody else."""
    north = login("north")
    north.execute("SET default_transaction_read_only = off")
    for refused in (
        "SELECT * FROM gold.ops_health",
        "SELECT rows FROM caudal.published",
        "SELECT * FROM gold_masks.dim_customers",
        "INSERT INTO gold.fct_orders (tenant_id) VALUES ('north')",
        "UPDATE caudal.logins SET tenant = 'south'",
        "CREATE TEMPORARY TABLE t (x int)",
        "CREATE TABLE public.t (x int)",
        f"SET ROLE {north.info.dbname}_operator",
        f"SET ROLE {north.info.dbname}_publisher",
        f"SET SESSION AUTHORIZATION {north.info.dbname}_publisher",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            north.execute(refused)
    assert [login for login, *_ in rows(north, "SELECT login, tenant FROM caudal.logins")] == [north.info.user]


def test_row_security_cannot_be_switched_off(login: Login) -> None:
    """A session that says it wants no row security gets an error, not the rows."""
    north = login("north")
    north.execute("SET row_security = off")
    with pytest.raises(errors.InsufficientPrivilege):
        by_select(north, "fct_orders")


def test_masks_need_their_role(login: Login) -> None:
    """Without it a mart has no masked columns; with it they are there, of the own tenant only."""
    plain, masked = login("north"), login("north", masks=True)
    names = "SELECT column_name FROM information_schema.columns WHERE table_name = 'dim_customers'"
    assert rows(plain, "SELECT * FROM gold.dim_customers") == [("north", "1")]
    assert "customer_email" not in {name for (name,) in rows(plain, names)}
    assert rows(masked, "SELECT * FROM gold_masks.dim_customers") == [("north", "1", "no***@x.com")]


def test_a_login_that_nobody_mapped_sees_nothing(publisher: psycopg.Connection, login: Login) -> None:
    """The rights alone show no row; neither does a mapping that was taken away under an open session."""
    north = login("north")
    assert by_select(north, "fct_orders") == {"north"}
    publisher.execute("UPDATE caudal.logins SET tenant = 'gone' WHERE login = %s", [north.info.user])
    assert by_select(north, "fct_orders") == set()
    publisher.execute("DELETE FROM caudal.logins WHERE login = %s", [north.info.user])
    assert by_select(north, "fct_orders") == set()
    publisher.execute("INSERT INTO caudal.logins VALUES (%s, 'north', false, false)", [north.info.user])


def test_a_removed_login_is_gone(settings: Settings, publisher: psycopg.Connection) -> None:
    """An open session sees no row from its next statement on, and nobody connects by that name again."""
    section = settings.section("serving.warehouse", WarehouseSettings)
    password = logins.add(publisher, "bi_leaver", "north", masks=False, settings=section)
    with psycopg.connect(section.url.get_secret_value(), user="bi_leaver", password=password, autocommit=True) as link:
        assert by_select(link, "fct_orders") == {"north"}
        logins.remove(publisher, "bi_leaver")
        assert "bi_leaver" not in {one.name for one in logins.listed(publisher)}
        with pytest.raises(psycopg.Error):
            by_select(link, "fct_orders")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(section.url.get_secret_value(), user="bi_leaver", password=password)


def test_the_proof_holds_and_can_fail(settings: Settings, publisher: psycopg.Connection) -> None:
    """Whole and isolated; a policy that lets everybody in, or a changed value, is found in the mart that has it."""
    whole, isolated = verify.prove(settings)
    assert (whole.ok, whole.examined, isolated.ok, isolated.examined) == (True, 3, True, 8)
    publisher.execute("CREATE POLICY leak ON gold.fct_orders FOR SELECT USING (true)")
    publisher.execute("UPDATE gold_masks.dim_customers SET customer_email = NULL WHERE tenant_id = 'south'")
    whole, isolated = verify.prove(settings)
    assert whole.findings == ("dim_customers: different: values of customer_email",)
    assert isolated.findings[0] == "fct_orders: a login sees other rows than its tenant's"
    assert not any("south" in finding or "north" in finding for finding in (*whole.findings, *isolated.findings))
    assert logins.listed(publisher) == []


def test_a_mask_that_is_no_longer_one_is_shown(settings: Settings, gold: Gold, login: Login) -> None:
    """What the YAML says of a column holds from the next publish on, in both directions."""
    plain = login("north")
    open_ = {**DECLARED, "dim_customers": replace(DECLARED["dim_customers"], masks=frozenset())}
    for declared, columns in ((open_, 3), (DECLARED, 2)):
        app.once(settings, declared, whole=True)
        [row] = rows(plain, "SELECT * FROM gold.dim_customers")
        assert len(row) == columns


def test_no_password_reaches_the_server_in_clear(
    settings: Settings, publisher: psycopg.Connection, postgres_admin: str
) -> None:
    """What the server keeps of a login's password is what was hashed here, by SCRAM."""
    section = settings.section("serving.warehouse", WarehouseSettings)
    password = logins.add(publisher, "bi_secret", "north", masks=False, settings=section)
    query = sql.SQL("SELECT rolpassword FROM pg_authid WHERE rolname = 'bi_secret'")
    with psycopg.connect(postgres_admin) as link:
        kept = str(link.execute(query).fetchone())
    logins.remove(publisher, "bi_secret")
    assert "SCRAM-SHA-256$" in kept
    assert password not in kept
