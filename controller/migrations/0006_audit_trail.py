"""The audit trail's tables, and the triggers that let rows be added and nothing else."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

TABLES = ("controller_auditentry", "controller_auditoutcome")
TEXT = "the audit trail is append-only"
SQLITE = """
CREATE TRIGGER {table}_{verb} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{text}'); END
"""
POSTGRES_FUNCTION = """
CREATE OR REPLACE FUNCTION controller_audit_append_only() RETURNS trigger AS $$
BEGIN RAISE EXCEPTION '{text}'; END
$$ LANGUAGE plpgsql
"""
POSTGRES = """
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION controller_audit_append_only()
"""


def forbid_changes(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        if schema_editor.connection.vendor == "postgresql":
            cursor.execute(POSTGRES_FUNCTION.format(text=TEXT))
        for table in TABLES:
            if schema_editor.connection.vendor == "postgresql":
                cursor.execute(POSTGRES.format(table=table))
                continue
            for verb in ("UPDATE", "DELETE"):
                cursor.execute(SQLITE.format(table=table, verb=verb, text=TEXT))


class Migration(migrations.Migration):

    dependencies = [
        ('controller', '0005_personal_tokens'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('time', models.DateTimeField(default=django.utils.timezone.now)),
                ('actor', models.CharField(max_length=150)),
                ('via', models.CharField(max_length=120)),
                ('address', models.CharField(max_length=64)),
                ('action', models.CharField(max_length=300)),
                ('app', models.CharField(blank=True, default='', max_length=63)),
                ('detail', models.JSONField(default=dict)),
            ],
            options={
                'db_table': 'controller_auditentry',
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='AuditOutcome',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('status', models.PositiveIntegerField()),
                ('time', models.DateTimeField(default=django.utils.timezone.now)),
                ('entry', models.OneToOneField(on_delete=django.db.models.deletion.DO_NOTHING, related_name='outcome', to='controller.auditentry')),
            ],
            options={
                'db_table': 'controller_auditoutcome',
            },
        ),
        migrations.AddIndex(
            model_name='auditentry',
            index=models.Index(fields=['app', 'id'], name='audit_of_an_app'),
        ),
        migrations.AddIndex(
            model_name='auditentry',
            index=models.Index(fields=['actor', 'id'], name='audit_of_a_person'),
        ),
        migrations.RunPython(forbid_changes, migrations.RunPython.noop),
        migrations.AlterModelOptions(name='auditentry', options={'managed': False, 'ordering': ('-id',)}),
        migrations.AlterModelOptions(name='auditoutcome', options={'managed': False}),
    ]
