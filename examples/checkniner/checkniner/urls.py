"""Two addresses: the counts, and Django's admin."""

from checkouts import views
from django.contrib import admin
from django.urls import path

urlpatterns = [
    path("", views.counts, name="counts"),
    path("admin/", admin.site.urls),
]
