from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("controller", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="build",
            name="app_json",
            field=models.JSONField(default=None, null=True),
        ),
    ]
