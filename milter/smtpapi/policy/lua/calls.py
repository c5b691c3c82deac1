"""Every call and hook of Momentum's Lua interface: whether it runs here. docs/policy-lua.md is its table.

Nothing is run here (prelude/, `host`), and no policy is read (`scan`). A name is written as policies do:
`msys.pcre.match`, or `msg:header` for a method; `msg:body(text)` is the call with arguments.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

PAGE = "docs/policy-lua.md"


class Runs(StrEnum):
    """Whether a call runs, in the words of the table."""

    YES = "runs"
    DIFFERENT = "runs with a difference"
    NO = "refused"


_YES = """
vctx:set vctx:get vctx:exists vctx:delete vctx:exists_and_get
msg:context_set msg:context_get msg:context_exists msg:context_delete msg:context_exists_and_get
msg:address_header msys.parseRFC2822Addresses msg:rcptto msg:mailfrom msg:get_envelope2
msys.core.string_new msys.core.ec_sockaddr_family msys.core.accept_construct_get_message_construct
msg.id msg.conn_id msg.batch_id ac.conn_id ac.remote_addr msg:listener_addr msg:reception_peer
msg:get_message_size msg:is_mcmt msg:get_delivery_method msg:body msg:raw msg:text
msg:text_match msg:body_match msg:raw_match msg:mime
part:header part:text part:content_type part:address_header part:text_match part:body_match part:raw_match
vctx:recipient_list print msys.log msys.dumper.Dumper msys.pcre.split
json.decode json.encode json.new json.strerror
msys.cidr.define msys.cidr.query msys.cidr.reload
msys.base64.encode msys.base64.decode msys.qp.encode msys.qp.decode msys.idn.to_idn msys.idn.to_utf8
msys.core.get_now_ts msys.get_now_ts msys.lock msys.unlock thread.mutex msys.registerModule msys.asyncOk
msys.pbp.check_whitelist msys.pbp.set_whitelist msys.pbp.size_in_bytes debug.traceback trim
"""
_DIFFERENT = """
msg:header ac.protocol msg.recv_method vctx:set_code vctx:disconnect vctx:tarpit
vctx:add_recipient vctx:remove_recipient msg:discard msg:code
msg:rcptto(address) msg:mailfrom(address) msg:body(text) msg:body_replace msg:mime(false)
msys.expandMacro msys.pcre.match msys.pcre.replace msys.db.query msys.db.fetch_row msys.readfile
msys.type msys.sleep msys.runInPool msys.runInInst
msys.policyeditor.get_mailfrom msys.policyeditor.get_rcptto msys.policyeditor.get_header
msys.policyeditor.set_variable msys.policyeditor.pcre_match
msys.policyeditor.vctx_conn_get msys.policyeditor.vctx_conn_set
msys.policyeditor.vctx_mess_get msys.policyeditor.vctx_mess_set
msys.audit.connections msys.audit.receptions msys.audit.rejections msys.audit.inbound_session_count
ac:inbound_session_count ac:pbp_inbound_session_count_service
msys.audit_series.define msys.audit_series.add msys.audit_series.count msys.audit_series.remove_item
msys.counter.open msys.counter.inc msys.counter.add msys.counter.read msys.counter.reset msys.counter.unlink
msys.gauge_cache.define msys.gauge_cache.inc msys.gauge_cache.dec msys.gauge_cache.get
msys.gauge_cache.remove_item msys.dnsLookup msys.pbp.fcdns_check msys.config
msys.core.config_get_binding_id_from_name msys.core.config_get_binding_name_from_id
msys.core.config_get_binding_group_size
msg.priority ac:esmtp_capability_add ac:esmtp_capability_remove debug.getinfo debug.output
"""
_NO = """
msg:raw(text) msg:text(text) msg:text_replace msg:raw_replace
msg:binding msg:binding_group msg:routing_domain
msg:makePart msg:makeContainer msg:makeBoundary msg:build msg:inject msg:copy msg:forward
part:header(name, value) part:text(text) part:text_replace part:body_replace part:raw_replace
part:unlink part:addFirstChild part:addLastChild part:insertBefore part:insertAfter
msys.core.ec_message_new msys.core.io_wrapper_open
msys.db.execute msys.timer msys.registerControl msys.registerAuth msys.snmpTrap msys.os msys.http msys.httpsrv
msys.threadpool.count msys.threadpool.find msys.threadpool.stat
msys.tls_params msys.av msys.cloudmark msys.brightmail msys.csapi msys.spamd msys.validate msys.bounce
msys.rfc3464 msys.delivery msys.gcm msys.apn msys.adaptive msys.dkim msys.arc
msys.message_routing msys.datasource.define
httpsrv curl xml threadpool io os.execute os.exit os.remove os.rename os.tmpname os.getenv os.setlocale
debug.debug debug.gethook debug.sethook debug.getfenv debug.setfenv debug.getlocal debug.setlocal
debug.getmetatable debug.setmetatable debug.getregistry debug.getupvalue debug.setupvalue
dofile loadfile load loadstring collectgarbage getfenv setfenv newproxy package.loadlib string.dump
"""

CALLS: Mapping[str, Runs] = MappingProxyType(
    {
        name: runs
        for runs, names in ((Runs.YES, _YES), (Runs.DIFFERENT, _DIFFERENT), (Runs.NO, _NO))
        for name in names.replace("(name, value)", "(name,value)").split()
    }
)

# They choose where a mail goes out. With `policy { binding_header }` a header field says so to the MTA, and
# they run.
ROUTING = frozenset({"msg:binding", "msg:binding_group", "msg:routing_domain"})

# The hooks that run, in the order of their phases, and what each is called with: msg, ac, vctx, a string or
# the list of recipients, by their first letters.
HOOKS: Mapping[str, str] = MappingProxyType(
    {
        "core_validate_accept": "av",
        "validate_connect": "av",
        "validate_ehlo": "sav",
        "validate_mailfrom": "sav",
        "validate_rcptto": "msav",
        "validate_rcptto_list": "lv",
        "validate_rcptto_list_final": "lv",
        "validate_data": "mav",
        "validate_data_spool": "mav",
        "core_pre_msg_each_rcpt": "mav",
        "validate_data_spool_each_rcpt": "mav",
        "core_post_msg_each_rcpt": "mav",
        "validate_set_binding": "m",
        "validate_dealloc": "",
    }
)
# Called when a script is loaded, or never for mail that comes by SMTP.
LIFE_CYCLE = ("init", "rsrc_setup", "deinit", "msg_gen_data_spool")

NO_HOOKS = frozenset(
    [
        "core_final_validation",
        "core_final_validation2",
        "core_post_final_validation",
        "core_validate_auth",
        "core_pre_mailq_message_requeue",
        "http_request_eval",
        "outbound_smtp_auth_config",
        "core_get_outbound_tls_parameters",
        "core_config_get_message_routing_domain",
        "core_smtp_tls_reporting",
    ]
)
_NO_HOOK_HEADS = (
    *("core_log_", "smpp_", "apn_", "gcm_", "ac_auth_", "generic_delivery_", "core_final_"),
    "core_validate_auth",
)

# Modules that `require` finds. Momentum's modules for what is refused are found too: only their calls are
# refused, since many policies name more than they use.
OFFERED = frozenset(
    {
        *("msys", "json", "thread", "strict", "msys.core", "msys.extended.message", "msys.extended.vctx"),
        *("msys.extended.ac", "msys.extended.message_routing", "msys.extended.ec_message", "msys.dumper"),
        *("msys.pcre", "msys.db", "msys.cidr", "msys.base64", "msys.qp", "msys.idn", "msys.json"),
        *("msys.datasource", "msys.policyeditor", "msys.log", "msys.thread", "msys.threadpool"),
        *("msys.util", "msys.audit", "msys.audit_series", "msys.counter", "msys.gauge_cache", "msys.pbp"),
    }
)


def is_refused_hook(name: str) -> bool:
    """Return whether a hook is one that a milter never comes to."""
    return name in NO_HOOKS or name.startswith(_NO_HOOK_HEADS)


def refused_module(name: str) -> bool:
    """Return whether a module holds nothing but calls that are refused."""
    return any(
        CALLS.get(each) is Runs.NO for each in (name, name.partition(".")[0], ".".join(name.split(".")[:2]))
    )


def refused(name: str) -> str:
    """Return what is wrong with a call or hook that is refused."""
    cure = f'policy {{ ignore = ("{name}") }} lets it do nothing'
    if name in ROUTING:
        cure += ', policy { binding_header = "X-Binding" } tells the MTA'
    return f"{name}: a milter cannot do this ({PAGE}); {cure}"


def unconditional_refusals() -> tuple[str, ...]:
    """Return the calls that are refused in every form of them."""
    return tuple(name for name, runs in CALLS.items() if runs is Runs.NO and "(" not in name)


def never_called(name: str) -> str:
    """Return what to say of a hook that a milter never comes to, beside others that run."""
    return f"{name}: never called here, since a milter ends before delivery ({PAGE})"


def ignorable(name: str) -> tuple[str, ...]:
    """Return the names by which an operator may let a call do nothing: its own, and its families'."""
    parts = name.split(".")
    return tuple(".".join(parts[:length]) for length in range(len(parts), 0, -1))
