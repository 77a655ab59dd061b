from django.db import models


class Entry(models.Model):
    name = models.CharField(max_length=80)
    text = models.TextField(max_length=2000)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name_plural = "entries"

    def __str__(self):
        return f"{self.name}: {self.text:.40}"
