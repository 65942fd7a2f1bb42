"""Shopify as a source, by two roads that give the same events.

1. `bindings`: which secret path, shop domain, secrets and API token belong to which shop
2. `mapping`: a payload of any API version → an event of `commerce.order`, `commerce.customer` or `commerce.refund`
3. `producers.intake.shopify`: the webhook receiver (push)
4. `poll`: the reconciling poll of the shop's REST API (pull), which finds what no webhook brought
5. `reconcile`: one poll of every bound shop
6. `fake_shop`: a local shop with paging and throttling, shipped beside the real thing so that both roads can be tried
"""
