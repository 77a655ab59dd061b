import asyncio
import time

from django.forms import ModelForm
from django.http import JsonResponse
from django.shortcuts import redirect, render

from .models import Entry


class EntryForm(ModelForm):
    class Meta:
        model = Entry
        fields = ["name", "text"]


def book(request):
    form = EntryForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("book")  # so that a reload does not send the form again
    return render(request, "guestbook/book.html", {"form": form, "entries": Entry.objects.all()[:50]})


async def together(request):
    """An async view: three concurrent waits of 0.1 s take 0.1 s."""

    async def wait(number):
        await asyncio.sleep(0.1)
        return number * number

    began = time.monotonic()
    squares = await asyncio.gather(wait(1), wait(2), wait(3))
    return JsonResponse({"squares": squares, "seconds": round(time.monotonic() - began, 3)})


def fails(request):
    raise RuntimeError("this view always fails")
