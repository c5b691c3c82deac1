"""Which links are rewritten, and what mail to several recipients gets."""

from dataclasses import dataclass

from engagement.settings import option_types
from engagement.settings.option import declared
from engagement.settings.schema.modes import AddedRecipients, SeveralRecipients


@dataclass(frozen=True, slots=True)
class RewritingStanza:
    """Which links are rewritten, and how carefully."""

    text_links: bool = declared(
        option_types.boolean(), True, "Whether links in text/plain parts are tracked too."
    )
    vml_links: bool = declared(
        option_types.boolean(), False, "Whether href in Outlook's VML inside conditional comments is tracked."
    )
    skip_url_text: bool = declared(
        option_types.boolean(),
        False,
        "Whether a link whose visible text is itself a URL is left alone; spam filters compare the two.",
    )
    foreign_opt_outs: bool = declared(
        option_types.boolean(),
        True,
        "Whether attributes by which customers of other senders take a link out of tracking count here too: "
        'clicktracking="off", ses:no-track, data-pm-no-track, mc:disable-tracking and their like.',
    )
    skip_patterns: tuple[str, ...] = declared(
        option_types.patterns(),
        (),
        "Links whose URL matches one of these regular expressions, anywhere in it, are never tracked: "
        "one-time logins, unsubscribe pages of others.",
        example=("//login\\.example\\.com/", "[?&]one_time_token="),
    )
    brace_macros: bool = declared(
        option_types.boolean(),
        True,
        "Whether the six macros such as {{opening_double_curly()}} become their braces in every text, HTML "
        "and AMP part that is shown, links or not, tracked or not; for senders who escape for Momentum.",
    )
    verify: bool = declared(
        option_types.boolean(),
        False,
        "Whether each result is parsed again with a second parser and compared before it is sent. Slower.",
    )
    dkim_signed_mail: str = declared(
        option_types.choice("leave", "track"),
        "leave",
        "What mail gets that carries a DKIM-Signature when it comes in. leave: no links, so that the "
        "signature holds; track: links like any other mail, which breaks that signature, so only where the "
        "mail is signed anew behind the filter. ARC-sealed mail is left alone with either.",
    )
    several_recipients: SeveralRecipients = declared(
        option_types.member(SeveralRecipients),
        SeveralRecipients.UNTRACKED,
        "What a message to several recipients in one transaction gets. untracked: no links; shared: the same "
        "links for all, with no recipient in them; defer: a client may name one recipient at a time (452), "
        "which slows mail down; split: a copy each over Postfix's hop; readdress: the same over Sendmail's. "
        "cc, bcc and archive of X-MSYS-API need split or readdress.",
    )
    added_recipients: AddedRecipients = declared(
        option_types.member(AddedRecipients),
        AddedRecipients.OWN,
        "With several_recipients = split: what recipients get whom Postfix adds by itself (always_bcc, "
        "sender_bcc_maps, recipient_bcc_maps, members of virtual aliases). own: links of their own, so that "
        "mail to one recipient takes the hop, too; none: the same, but what always_bcc and the bcc maps add "
        "gets no links; shared: mail to one recipient is tracked at once, and whoever is added to it gets "
        "that recipient's links, which is faster where nobody is added.",
    )
    overlapping_aliases: bool = declared(
        option_types.boolean(),
        True,
        "With several_recipients = readdress: whether an alias, .forward or list that Sendmail expands "
        "may lead to somebody whom the same mail names as well. Sendmail sends that person one copy, and "
        "over the hop it would be two; so mail to several, one of them local, goes untracked. false: they "
        "never overlap here.",
    )
    split_listener: str = declared(
        option_types.second_pass_listener(),
        "127.0.0.1:10026",
        "Address and port where the MTA's hop brings the copies in; marks are honoured there alone, so keep "
        "it on loopback. Empty: there is no hop.",
    )
