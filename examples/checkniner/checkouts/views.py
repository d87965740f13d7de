"""One page: how much there is. A monitor, or a test, sees from it that the application answers with its data."""

from django.contrib.auth import get_user_model
from django.http import JsonResponse

from .models import AircraftType, Airstrip, Checkout, PilotWeight


def counts(_request):
    """Return the number of rows of each model, and the newest checkout's key, as JSON."""
    newest = Checkout.objects.order_by("-pk").values_list("pk", flat=True).first()
    models = {
        "pilots": get_user_model(),
        "airstrips": Airstrip,
        "aircraft_types": AircraftType,
        "checkouts": Checkout,
        "pilot_weights": PilotWeight,
    }
    return JsonResponse({**{name: model.objects.count() for name, model in models.items()}, "newest": newest})
