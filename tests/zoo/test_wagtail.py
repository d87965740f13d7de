"""Wagtail: a tree of pages with natural keys, dangling log entries, generic keys, full-text vectors, UUIDs, files."""

from __future__ import annotations

import pytest

from .project import Project
from .rounds import Rounds

_SETTINGS = """
INSTALLED_APPS = [
    "blog",
    "wagtail.contrib.forms", "wagtail.contrib.redirects", "wagtail.contrib.settings",
    "wagtail.contrib.simple_translation",
    "wagtail.embeds", "wagtail.sites", "wagtail.users", "wagtail.snippets", "wagtail.documents", "wagtail.images",
    "wagtail.search", "wagtail.admin", "wagtail.locales", "wagtail", "modelcluster", "taggit",
    *DJANGO_APPS,
]
MIDDLEWARE.append("wagtail.contrib.redirects.middleware.RedirectMiddleware")
WAGTAIL_SITE_NAME = "Zoo"
WAGTAILADMIN_BASE_URL = "http://zoo.example"
WAGTAIL_I18N_ENABLED = USE_I18N = True
WAGTAIL_CONTENT_LANGUAGES = LANGUAGES = [("en", "English"), ("de", "German")]
"""

_MODELS = """
from django.db import models
from modelcluster.contrib.taggit import ClusterTaggableManager
from modelcluster.fields import ParentalKey
from taggit.models import TaggedItemBase
from wagtail import blocks
from wagtail.admin.panels import FieldPanel, InlinePanel
from wagtail.contrib.forms.models import AbstractForm, AbstractFormField
from wagtail.contrib.settings.models import BaseSiteSetting, register_setting
from wagtail.fields import RichTextField, StreamField
from wagtail.images.blocks import ImageChooserBlock
from wagtail.models import DraftStateMixin, LockableMixin, Orderable, Page, RevisionMixin, TranslatableMixin
from wagtail.search import index
from wagtail.snippets.models import register_snippet


class PostTag(TaggedItemBase):
    content_object = ParentalKey("blog.Post", on_delete=models.CASCADE, related_name="tagged")


class Post(Page):
    date = models.DateField()
    body = StreamField([("text", blocks.RichTextBlock()), ("image", ImageChooserBlock())], blank=True)
    cover = models.ForeignKey("wagtailimages.Image", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    tags = ClusterTaggableManager(through=PostTag, blank=True)
    search_fields = [*Page.search_fields, index.SearchField("body")]
    content_panels = [*Page.content_panels, FieldPanel("date"), FieldPanel("body"), InlinePanel("links")]


class Link(Orderable):
    post = ParentalKey(Post, on_delete=models.CASCADE, related_name="links")
    target = models.ForeignKey(Page, on_delete=models.CASCADE, related_name="+")


class Contact(AbstractForm):
    intro = RichTextField(blank=True)


class ContactField(AbstractFormField):
    page = ParentalKey(Contact, on_delete=models.CASCADE, related_name="form_fields")


@register_snippet
class Advert(DraftStateMixin, RevisionMixin, LockableMixin, TranslatableMixin, index.Indexed, models.Model):
    text = models.CharField(max_length=80)
    search_fields = [index.SearchField("text"), index.AutocompleteField("text")]

    class Meta(TranslatableMixin.Meta):
        pass


@register_setting
class Social(BaseSiteSetting):
    handle = models.CharField(max_length=40)
"""

_FILL = """
import datetime, io, json
from django.contrib.auth.models import Group, Permission, User
from django.core.files.base import ContentFile
from PIL import Image as Picture
from blog.models import *
from wagtail.contrib.forms.models import FormSubmission
from wagtail.contrib.redirects.models import Redirect
from wagtail.documents.models import Document
from wagtail.images.models import Image
from wagtail.models import (
    Collection, CollectionViewRestriction, Comment, CommentReply, GroupPagePermission, Locale, PageViewRestriction,
    Site, Workflow,
)
admin = User.objects.create_superuser("admin", "admin@example.org", "x")
editor = User.objects.create_user("editor", "editor@example.org", "x")
editor.groups.add(Group.objects.get(name="Editors"))
editors = Group.objects.create(name="Advertisers")
editors.permissions.add(Permission.objects.get(codename="add_advert"))
from wagtail.users.models import UserProfile
UserProfile.get_for_user(editor)
home = Page.objects.get(depth=2)
GroupPagePermission.objects.create(group=editors, page=home, permission=Permission.objects.get(codename="add_page"))
collection = Collection.get_first_root_node().add_child(name="Pictures")
restriction = CollectionViewRestriction.objects.create(collection=collection, restriction_type="groups")
restriction.groups.add(editors)
data = io.BytesIO()
Picture.new("RGB", (8, 8), "red").save(data, "PNG")
image = Image.objects.create(
    title="R\\u00f6d", file=ContentFile(data.getvalue(), "red.png"), collection=collection, uploaded_by_user=editor)
image.tags.add("red", "square")
image.get_rendition("width-4")
Document.objects.create(title="Paper", file=ContentFile(b"paper", "paper.txt"), collection=collection)
posts = []
for number in range(60):
    post = home.add_child(instance=Post(
        title=f"Post \\u2603 {number}", date=datetime.date(2024, 1, 1) + datetime.timedelta(number), owner=editor,
        cover=image if number % 3 else None,
        body=json.dumps([
            {"type": "text", "value": f"<p>No. {number} \\\\ \\"quoted\\"</p>"},
            {"type": "image", "value": image.pk}])))
    post.tags.add("news", f"tag{number % 7}")
    if posts:
        post.links.add(Link(target=posts[-1]))
    post.save()
    revision = post.save_revision(user=editor, log_action=True)
    if number % 2:
        revision.publish(user=admin)
    posts.append(post)
thread = Comment.objects.create(page=posts[3], user=admin, text="Why?", contentpath="title")
CommentReply.objects.create(comment=thread, user=editor, text="Why not")
posts[5].move(posts[6], "first-child", user=admin)
posts[7].copy(update_attrs={"slug": "copied", "title": "Copied"}, user=admin)
posts[8].add_child(instance=Post(title="Below", date=datetime.date(2020, 2, 29)))
PageViewRestriction.objects.create(page=posts[8], restriction_type="password", password="secret")
german = Locale.objects.create(language_code="de")
home.copy_for_translation(german)
posts[10].copy_for_translation(german, copy_parents=True)
Redirect.objects.create(old_path="/old", redirect_page=posts[11])
Redirect.objects.create(old_path="/gone", redirect_link="https://example.org/")
Social.for_site(Site.objects.get()).save()
advert = Advert.objects.create(text="Buy snow")
advert.save_revision(user=editor, log_action=True).publish(user=admin)
form = home.add_child(instance=Contact(title="Write"))
form.form_fields.add(ContactField(label="Name", field_type="singleline"))
form.save()
FormSubmission.objects.create(page=form, form_data={"name": "Zo\\u00eb"})
Workflow.objects.get().start(posts[12], editor)
# What dangles afterwards: log entries, references, and rows of the search index name pages that are gone.
for post in (posts[20], posts[21], posts[6]):
    Page.objects.get(pk=post.pk).specific.delete(user=admin)
Page.objects.filter(pk=posts[22].pk).specific().get().delete()
advert_two = Advert.objects.create(text="Gone")
advert_two.save_revision(user=editor, log_action=True)
advert_two.delete()
editor.delete()
"""


@pytest.mark.applications
class TestWagtail(Rounds):
    project = Project(
        requirements="wagtail==8.0.1\n",
        settings=_SETTINGS,
        files={"blog/models.py": _MODELS, "blog/migrations/__init__.py": ""},
        fill=_FILL,
        commands=("makemigrations --verbosity=0 blog", "migrate --verbosity=0"),
    )
