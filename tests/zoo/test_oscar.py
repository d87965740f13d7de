"""django-oscar: a shop of twenty apps with receivers, a tree of categories, attributes of every type, money, orders."""

from __future__ import annotations

import pytest

from .project import Project
from .rounds import Rounds

_SETTINGS = """
from oscar.defaults import *
from oscar import INSTALLED_APPS
INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.redirects"]
MIDDLEWARE.append("oscar.apps.basket.middleware.BasketMiddleware")
AUTHENTICATION_BACKENDS = [
    "oscar.apps.customer.auth_backends.EmailBackend", "django.contrib.auth.backends.ModelBackend",
]
HAYSTACK_CONNECTIONS = {"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}}
SITE_ID = 1
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
"""

_FILL = """
import datetime, io, random
from decimal import Decimal as D
random.seed(3)
from django.contrib.contenttypes.models import ContentType
from django.contrib.flatpages.models import FlatPage
from django.contrib.redirects.models import Redirect
from django.contrib.sites.models import Site
from django.core.files.base import ContentFile
from oscar.test import factories as make
from oscar.core.loading import get_model
users = [make.UserFactory(username=f"customer{n}", email=f"c{n}@example.org") for n in range(20)]
Category = get_model("catalogue", "Category")
roots = [Category.add_root(name=f"Category {n} \\u2603") for n in range(3)]
for root in roots:
    root.add_child(name="Below").add_child(name="Deeper")
roots[0].move(roots[1], "last-child")
kind = make.ProductClassFactory(name="Snow", requires_shipping=True, track_stock=True)
Attribute, Group = get_model("catalogue", "ProductAttribute"), get_model("catalogue", "AttributeOptionGroup")
colours = Group.objects.create(name="Colours")
red, blue = [colours.options.create(option=name) for name in ("red", "blue")]
values = {
    "text": "T\\u00ebxt", "integer": 3, "boolean": True, "float": 0.1 + 0.2, "richtext": "<p>rich</p>",
    "date": datetime.date(2024, 2, 29),
    "datetime": datetime.datetime(2024, 2, 29, 1, 2, 3, 123456, datetime.timezone.utc),
    "option": red, "multi_option": [red, blue], "entity": roots[2],
}
for name in values:
    Attribute.objects.create(
        product_class=kind, name=f"a_{name}", code=f"a_{name}", type=name,
        option_group=colours if "option" in name else None)
products = []
for number in range(60):
    product = make.create_product(
        upc=f"upc{number}", title=f"Product {number}", product_class="Snow", price=D("9.99") + number, num_in_stock=50,
        partner_name=f"Partner {number % 3}",
        attributes={f"a_{name}": value for name, value in values.items()} if number % 2 else None)
    product.categories.add(random.choice(Category.objects.all()))
    products.append(product)
parent = make.create_product(structure="parent", upc="parent", product_class="Snow")
for number in range(3):
    make.create_product(parent=parent, upc=f"child{number}", structure="child", price=D("1.00"), num_in_stock=1)
Recommendation = get_model("catalogue", "ProductRecommendation")
Recommendation.objects.create(primary=products[0], recommendation=products[1], ranking=2)
from PIL import Image as Picture
data = io.BytesIO()
Picture.new("RGB", (8, 8), "red").save(data, "PNG")
make.create_product_image(products[0], original=ContentFile(data.getvalue(), "red.png"))
for user in users[:8]:
    make.ProductReviewFactory(product=products[1], user=user, score=4)
get_model("reviews", "Vote").objects.create(review=products[1].reviews.first(), user=users[9], delta=1)
country = make.CountryFactory()
addresses = [make.UserAddressFactory(user=user, country=country) for user in users[:8]]
offer_range = make.RangeFactory(products=products[:5])
offer = make.create_offer(name="Cheap", product_range=offer_range)
voucher = make.VoucherFactory(code="SNOW")
voucher.offers.add(offer)
make.VoucherSetFactory(count=4)
Basket = get_model("basket", "Basket")
card = make.SourceTypeFactory()
from oscar.apps.partner.strategy import Default
for number, user in enumerate(users[:15]):
    basket = Basket.objects.create(owner=user)
    basket.strategy = Default()
    basket.add_product(products[number], 2)
    basket.add_product(products[number + 1], 1)
    if number < 12:
        basket.vouchers.add(voucher)
        order = make.create_order(number=f"o{number}", user=user, basket=basket)
        order.notes.create(user=user, message="Hurry")
        make.ShippingEventFactory(order=order)
        source = make.SourceFactory(order=order, source_type=card)
        source.debit(D("3.00"), reference="r")
        make.OrderDiscountFactory(order=order, offer_id=offer.id, voucher_id=voucher.id)
wishlist = make.WishListFactory(owner=users[0])
wishlist.add(products[2])
make.ProductAlertFactory(user=users[3], product=products[3], key="k", status="Active")
for number in range(12):
    get_model("analytics", "UserSearch").objects.create(user=users[number], query="snow")
Event = get_model("communication", "CommunicationEventType")
Event.objects.create(code="X", name="Mail", email_subject_template="{{ a }}")
get_model("communication", "Notification").objects.create(recipient=users[1], subject="S", body="B")
band = make.create_shipping_weight_band(D("2.5"), D("3.99"))
page = FlatPage.objects.create(url="/about/", title="About", content="x")
page.sites.add(1)
Redirect.objects.create(site_id=1, old_path="/a", new_path="/b")
Site.objects.create(domain="second.example", name="Second")
# What was bought may be gone; who bought it, too.
products[1].delete()
users[2].delete()
offer.delete()
"""


@pytest.mark.applications
class TestOscar(Rounds):
    project = Project(requirements="django-oscar==4.2.1\n", settings=_SETTINGS, fill=_FILL)
