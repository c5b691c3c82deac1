"""Names that vulture cannot see used: called by libraries, by operators' files, or through `getattr`.

Read by vulture only, never run. Each group says who uses them; a name that nobody uses does not belong here.
"""

from typing import Any

_: Any = None

# libmilter's callbacks and pymilter's hooks (smtpapi.mta.session, smtpapi.mta.connection)
_ = (_.hello, _.unknown, _.abort, _.eom, _.envfrom_bytes, _.envrcpt_bytes, _.header_bytes, _.factory)
_ = (_.negotiate, _._actions, _.milter_protocol)

# smtplib, click, Jinja2, WSGI servers, lark's transformer
_ = (_.command_encoding, _.convert, _.exit_code, _.lstrip_blocks, _.trim_blocks, _.application)
_ = (_.text_list, _.pair, _.assign, _.include, _.format_message, _.writelines)

# the io module (tracker_web.web.front.unread_body)
_ = (_.readinto, _.readall)

# the standard library's parser of mail (engagement.bounces.returned)
_ = (_.header_fetch_parse,)

# what operators' policy files use (smtpapi.policy, docs/policy.md)
_ = (_.VCTX_MESS, _.VCTX_RCPT, _.ECMESS_CTX_CONN, _.ECMESS_CTX_MESS, _.VALIDATE_CONT, _.VALIDATE_DONE)
_ = (_.remote_addr, _.remote_name, _.local_addr, _.mailfrom, _.__file__)

# options, reached by their names (engagement.settings)
_ = (_.click_tracking_enabled, _.click_tracking_scheme, _.open_tracking_enabled, _.open_tracking_scheme)
_ = (_.tracking_link_expiry, _.initial_open_tracking_enabled, _.enable, _.REFUSE)

# members that are reached by their value (engagement.suppression.index)
_ = _.OLDEST

# fields of the X-MSYS-API header that are read and kept, not acted on (contract.md 3.2)
_ = (_.inline_css, _.ip_pool, _.dkim_key)

# reasons made from the codes of engagement.links.urls.refusal: Skip(code)
_ = (_.NO_HOST, _.USER_INFO, _.CONTROL_CHARACTER, _.BACKSLASH, _.NON_ASCII, _.TARGET_TOO_LONG)

# templates of the pages (tracker_web.pages), and Flask
_ = (_.share, _.sides, _.merge_slashes, _.front, _.every, _.one, _.new, _.search)
_ = (_.add_key, _.revoke_key, _.add_user, _.remove_user, _.object_, _.act, _.choose)

# the interface of stores and events, with its reference engine for tests
_ = (_.to_fields, _.MemoryStore, _.people_messages, _.sync_failures)

# what flask-smorest, webargs, marshmallow and Flask read (tracker_web.api)
_ = (_.ARGUMENTS_PARSER, _.Meta, _.load_querystring, _.load_json, _.handle_error, _.ERROR_SCHEMA)
_ = (_.DEFAULT_ERROR_RESPONSE_NAME, _._register_error_handlers, _.sort_keys, _.merge_slashes)
_ = _.max_content_length

# parameters and members of requests, reached by their names (tracker_web.api)
_ = (_.timezone, _.per_page, _.subaccounts, _.templates, _.ip_pools, _.mailbox_providers)
_ = (_.mailbox_provider_regions, _.ab_tests, _.ab_test_versions, _.email_rfc822, _.include_subaccounts)

# what a document of the registry holds; what dnspython and http.client read (tracker_web.domains)
_ = (_.checked_ms, _.lifetime, _.qname, _.sock)

# the form of events for webhooks (engagement.events.api_event)
_ = _.webhook_event

# the HTTP server below engagement.metrics.listener; what each program's metrics are, for tests of docs
_ = (_.log_message, _.daemon_threads, _.request_queue_size, _.server_bind, _.server_name, _.server_port)
_ = (_.get_request, _.handle_error, _.METRICS)

# types named in quotes only
_ = (_.StartResponse, _.WSGIApplication, _.WSGIEnvironment)

# what cassandra-driver reads (engagement.stores.cassandra.connection)
_ = (_.password, _.fetch_size, _.is_idempotent, _.new_authenticator)

# what the logging module reads (smtpapi.telemetry.maillog)
_ = (_.logThreads, _.logMultiprocessing)

# counters that are reached by their distance from the first of three (engagement.figures.definitions)
_ = (_.UNSURE_RENDERED, _.MACHINE_RENDERED, _.UNSURE_INITIAL_RENDERED, _.MACHINE_INITIAL_RENDERED)
_ = (_.UNSURE_CLICKED, _.MACHINE_CLICKED, _.UNSURE_UNSUBSCRIBE, _.MACHINE_UNSUBSCRIBE)
_ = (
    _.UNSURE_UNIQUE_RENDERED,
    _.MACHINE_UNIQUE_RENDERED,
    _.UNSURE_UNIQUE_INITIAL_RENDERED,
    _.MACHINE_UNIQUE_INITIAL_RENDERED,
)
_ = (_.UNSURE_UNIQUE_CLICKED, _.MACHINE_UNIQUE_CLICKED, _.UNSURE_UNIQUE_CONFIRMED, _.MACHINE_UNIQUE_CONFIRMED)
_ = (_.UNSURE_RAW_CLICKED, _.MACHINE_RAW_CLICKED)

# options that are read by their names (engagement.settings)
_ = (_.open_relay, _.momentum)

# what policies call (smtpapi.policy.views)
_ = _.set_header

# the registry's port, for imports of many documents
_ = (_.put_many,)

# fields of marshmallow's schemas (tracker_web.api), read from what they load by name
_ = (_.non_transactional, _.description_strict)
_ = (_.timezone, _.per_page, _.subaccounts, _.templates, _.ip_pools, _.mailbox_providers, _.ab_tests)
_ = (_.mailbox_provider_regions, _.ab_test_versions, _.query_filters, _.check_order)
_ = (_.email_rfc822, _.template_id, _.ab_test_id, _.open_tracking, _.click_tracking, _.initial_open)
_ = (_.perform_substitutions, _.start_time, _.campaign_id, _.substitution_data, _.num_rcpt_errors)

# roles by their value (engagement.access.users), and the check of forms that pages send
_ = (_.LOOKS, _.MANAGES, _.checked_form)

# the same, of webhooks (tracker_web.api.topics.webhooks)
_ = (_.auth_type, _.custom_headers, _.auth_credentials, _.auth_request_details, _.exception_subaccounts)
_ = (_.x_sign, _.x_signing_secrets, _.x_corrections, _.batch_ids)

# what click shows in lists of commands (smtpapi.commands)
_ = (_.short_help,)
