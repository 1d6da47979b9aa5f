"""The site with every admin class registered."""

from django.contrib.auth.models import Group

from apps.access.models import ServiceAccount
from apps.configs.models import Rule, Section, Template
from apps.core.models import Connection, User
from apps.portal.access_admin import AccountAdmin, PersonAdmin
from apps.portal.connection_admin import ConnectionAdmin
from apps.portal.group_admin import GroupAdmin
from apps.portal.registry_admin import EnvironmentAdmin, SectionAdmin, ServiceAdmin
from apps.portal.rule_admin import RuleAdmin
from apps.portal.site import site
from apps.portal.template_admin import TemplateAdmin
from apps.registry.models import Environment, Service

site.register(Service, ServiceAdmin)
site.register(Environment, EnvironmentAdmin)
site.register(Section, SectionAdmin)
site.register(Rule, RuleAdmin)
site.register(Template, TemplateAdmin)
site.register(ServiceAccount, AccountAdmin)
site.register(User, PersonAdmin)
site.register(Group, GroupAdmin)
site.register(Connection, ConnectionAdmin)

urls = site.urls
