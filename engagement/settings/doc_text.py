"""The text around the generated lists of options: heads of the sample file and of the reference page.

Nothing about single options: their help texts are in their declarations (`schema`).
"""

SAMPLE_HEAD = """
Configuration of smtpapi, in the syntax of Momentum's ecelerity.conf.

Every option stands here in its place, commented out, with its default; remove the # before it and change
the value. Lines that begin with "# " are explanations.

`smtpapi check-config FILE` says whether a file is right, and which value is in force where. The filter and
the tracker read the file again on SIGHUP; one with an error in it is reported, and the old configuration
stays. Reference: docs/settings.md.
"""

SCOPED_HEAD = (
    "Whether and how mail is tracked. These options may stand in ESMTP_Listener, Listen, Peer, pathway and "
    "pathway_group; the narrowest scope that sets an option wins, for each option by itself. At the top "
    "level they are an error."
)

SAMPLE_EXAMPLES = """
# Narrower scopes, as an example. Listen is the MTA's own address and port, Peer the client's
# network; both may set any of the tracking options above.
#
# ESMTP_Listener {
#     tracking_domain = "track.example.com"
#
#     Listen ":587" {
#         click_tracking_enabled = true
#         open_tracking_enabled = true
#     }
#
#     Peer "192.0.2.0/24" {
#         pathway = "newsletters"
#         context = [ cust_site = "berlin" ]
#     }
# }
#
# pathway "newsletters" {
#     tracking_link_expiry = 7776000
# }
#
# include "smtpapi.d"
"""

REFERENCE_HEAD = """
# Settings

<!-- Written by `python -m engagement.settings.explain reference`; change engagement/settings/schema_*.py. -->

The configuration file, by default `/etc/smtpapi/smtpapi.conf`, is written in the syntax of Momentum's
`ecelerity.conf`; a Momentum file can be read as it is. `smtpapi check-config FILE` reads a file, says what is
wrong with it or what is in force in each scope, and ends with status 0 (valid), 1 (errors) or 2 (no such
file).
The filter and the tracker read the file again on SIGHUP; a file with errors is reported and the old
configuration stays. The shipper, and sockets and addresses that are listened on, need a restart.

## Syntax

```ecelerity
# a comment to the end of the line
/* a comment over
   several lines */
smtpapi { }                           # a stanza
ESMTP_Listener {
  tracking_domain = "track.example.com"
  Listen ":587" {                     # a scope with a name
    click_tracking_enabled = true
  }
  SMTP_Extensions = (XSETCONTEXT XCLIENT)
  context = [ cust_site = "berlin" mo_customer_id = "17" ]
}
include "smtpapi.d"                   # a file, or all files of a folder
```

* White space and line ends mean nothing. Values with white space or one of `# " = { } [ ] ( )` are quoted;
  inside quotes `\\"`, `\\\\`, `\\n`, `\\r`, `\\t` are translated, any other backslash stays.
* Names of options and scopes are read without regard to letter case.
* True is `true`, `on`, `yes`, `enabled` or `1`; false is `false`, `off`, `no`, `disabled` or `0`. Numbers
  have no suffixes, and as Momentum reads them they are octal after a `0` and hexadecimal after `0x`; times
  are in seconds and sizes in bytes where an option does not say otherwise.
* A later assignment in the same scope wins, a list replaces the earlier list, and a scope that appears again
  with the same name continues the earlier one.
* `include` (or `readonly_include`) looks in the folder of the including file, then in Momentum's `etc/conf`,
  in `global`, the machine's name, and `default`. Hidden files and sub-folders of an included folder are left
  out. A file named by `Local_Changes_File` is read last.
* Paths that do not begin with `/` count from the folder of the file that names them.
* Unknown options in the stanzas below are errors. Whatever else Momentum knows is accepted, and a notice
  names it once; but what would change what is tracked is an error until `ignore` in `momentum { }` names it.

## Which scope wins

First wins, for each option by itself:

1. `Peer` inside the matching `Listen` (the longest network that holds the client)
2. `Peer` directly inside the `ESMTP_Listener`
3. the matching `Listen`: an exact address and port before `[*]:PORT` before `:PORT`
4. the `ESMTP_Listener`, also for connections that no `Listen` takes, and for local submission
5. the `pathway_group` of the effective pathway (Momentum ignores options there; a warning says so)
6. the built-in default

The effective pathway is the one that policy names, else the one that the option `pathway` names in the first
of rows 1 to 4 that has it, else `default`. What the pathway sets itself comes right before the scope that
names it: before all rows where policy does, after row 4 for `default` that nothing names. A `pathway` inside
a `pathway_group` comes before one of the same name at the top level.

An MTA that does not tell its port is matched by wildcard `Listen`s only. Mail without a network
client counts as coming from 127.0.0.1. Each message's header and policy come before all of these.
"""
