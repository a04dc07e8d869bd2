"""A shop on Django that confirms orders by mail. Only EMAIL_HOST and EMAIL_PORT say where mail goes.

    python shop.py HOST PORT CUSTOMER

serves one order, in this process, and prints the status of the page.
"""

import sys

import django
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, send_mail
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path


def order(request: HttpRequest) -> HttpResponse:
    message = EmailMultiAlternatives(
        "Ihre Bestellung – danke!",
        "Grüße aus dem Laden",
        to=[request.POST["customer"]],
        bcc=["books@example.net"],
    )
    message.attach_alternative("<p>Grüße aus dem Laden</p>", "text/html")
    message.attach("invoice.pdf", bytes(range(256)) * 200, "application/pdf")
    message.send()
    send_mail("An order", "A new one.", None, ["manager@example.net"])
    return HttpResponse("ordered")


urlpatterns = [path("order", order)]


def main(host: str, port: str, customer: str) -> None:
    settings.configure(
        EMAIL_HOST=host,
        EMAIL_PORT=int(port),
        DEFAULT_FROM_EMAIL="Shop <app@example.org>",
        ALLOWED_HOSTS=["testserver"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="canary",
        USE_TZ=True,
    )
    django.setup()
    print(Client().post("/order", {"customer": customer}).status_code)


if __name__ == "__main__":
    main(*sys.argv[1:])
