from django.contrib import admin
from django.urls import path

from . import views

urlpatterns = [
    path("", views.book, name="book"),
    path("together", views.together, name="together"),
    path("fails", views.fails, name="fails"),
    path("admin/", admin.site.urls),
]
