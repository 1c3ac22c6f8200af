"""`/v2/apps/APP/git/`: the git host an app is built from."""

from rest_framework import serializers
from rest_framework.response import Response

from controller.access import OPERATE, READ
from controller.actions import git_sources
from controller.api.scoping import AppView, Strict
from controller.api.shapes import Also


class GitSourceSerializer(serializers.Serializer):
    url = serializers.CharField()
    branch = serializers.CharField()
    owner = serializers.CharField(source="owner.username")
    public_key = serializers.CharField()
    webhook = serializers.SerializerMethodField()
    created = serializers.DateTimeField()

    def get_webhook(self, row) -> str:
        return git_sources.webhook_url(row.app)


class NewGitSourceSerializer(Strict):
    url = serializers.CharField(max_length=1024)
    branch = serializers.CharField(max_length=255, required=False, default="main")


class GitSourceView(AppView):
    takes = {"POST": NewGitSourceSerializer}
    gives = {"GET": GitSourceSerializer, "POST": (201, Also(GitSourceSerializer, secret=str)), "DELETE": 204}
    rights = {"GET": READ, "HEAD": READ, "POST": OPERATE, "DELETE": OPERATE}

    def get(self, request, **kwargs):
        return Response(GitSourceSerializer(git_sources.source_of(self.app)).data)

    def post(self, request, **kwargs):
        """The connection, with the webhook's secret: it is told this once."""
        parsed = self.parsed(NewGitSourceSerializer)
        source = git_sources.connect(app=self.app, by=request.user, **parsed)
        return Response({**GitSourceSerializer(source).data, "secret": source.secret}, status=201)

    def delete(self, request, **kwargs):
        git_sources.disconnect(app=self.app, by=request.user)
        return Response(status=204)
