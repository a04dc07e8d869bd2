"""Settings of a Django site, made when this is first imported: before Django asks for any."""

from __future__ import annotations

from django.apps import apps
from django.conf import settings

settings.configure(DEFAULT_FROM_EMAIL="Shop <alerts@example.org>", SECRET_KEY="for tests, and not secret")
apps.populate(settings.INSTALLED_APPS)
