// The MTA's side of the milter protocol as github.com/d--j/go-milter speaks it, for tests/mta/foreign_clients.py.
//
// It reads one conversation as JSON from standard input and writes one line of JSON for each message: what the
// filter answered, and which changes it asked for. Nothing is judged here.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/d--j/go-milter"
)

type message struct {
	Sender     string      `json:"sender"`
	Recipients []string    `json:"recipients"`
	Fields     [][2]string `json:"fields"`
	Body       []byte      `json:"body"`
	Login      string      `json:"login"`
}

// A client of the MTA. Those after the first come over the connection that was kept (SMFIC_QUIT_NC).
type client struct {
	Family   string            `json:"family"`
	Address  string            `json:"address"`
	Macros   map[string]string `json:"macros"`
	Messages []message         `json:"messages"`
}

type conversation struct {
	Socket  string           `json:"socket"`
	Version uint32           `json:"version"`
	Actions milter.OptAction `json:"actions"`
	Clients []client         `json:"clients"`
}

type change struct {
	What  string `json:"what"`
	Name  string `json:"name"`
	Index uint32 `json:"index"`
	Value string `json:"value"`
	Body  []byte `json:"body"`
}

type answer struct {
	Step    string           `json:"step"`
	Verdict string           `json:"verdict"`
	Reply   string           `json:"reply"`
	Exact   bool             `json:"exact"` // header values go with the blank after their colon
	Actions milter.OptAction `json:"actions"`
	Changes []change         `json:"changes"`
}

var verdicts = map[milter.ActionType]string{
	milter.ActionAccept:         "accept",
	milter.ActionContinue:       "accept",
	milter.ActionDiscard:        "discard",
	milter.ActionReject:         "reject",
	milter.ActionTempFail:       "tempfail",
	milter.ActionRejectWithCode: "reply",
}

var changes = map[milter.ModifyActionType]string{
	milter.ActionAddRcpt:      "add recipient",
	milter.ActionDelRcpt:      "remove recipient",
	milter.ActionReplaceBody:  "body",
	milter.ActionAddHeader:    "add",
	milter.ActionChangeHeader: "change",
	milter.ActionInsertHeader: "insert",
	milter.ActionChangeFrom:   "sender",
	milter.ActionQuarantine:   "quarantine",
}

func main() {
	var talk conversation
	check(json.NewDecoder(os.Stdin).Decode(&talk))
	macros := milter.NewMacroBag()
	session, err := open(&talk, macros)
	check(err)
	for number, one := range talk.Clients {
		if number > 0 {
			check(session.Reset(macros))
		}
		for name, value := range one.Macros {
			macros.Set(name, value)
		}
		_, err = session.Conn("client.example", milter.ProtoFamily(one.Family[0]), 40000, one.Address)
		check(err)
		_, err = session.Helo("client.example")
		check(err)
		for _, mail := range one.Messages {
			told, err := send(session, macros, &mail)
			check(err)
			check(json.NewEncoder(os.Stdout).Encode(told))
		}
	}
	check(session.Close())
}

// The macros that the documentation tells an operator to have sent, where the filter cannot ask for them.
func open(talk *conversation, macros milter.Macros) (*milter.ClientSession, error) {
	connect := []milter.MacroName{"j", "{daemon_name}", "{daemon_addr}", "{daemon_port}", "{client_addr}"}
	return milter.NewClient("unix", talk.Socket,
		milter.WithMaximumVersion(talk.Version),
		milter.WithActions(talk.Actions),
		milter.WithProtocols(0), // all steps that the library knows in that version
		milter.WithMacroRequest(milter.StageConnect, connect),
		milter.WithMacroRequest(milter.StageMail, []milter.MacroName{milter.MacroAuthAuthen}),
	).Session(macros)
}

func send(session *milter.ClientSession, macros *milter.MacroBag, mail *message) (*answer, error) {
	macros.Set(milter.MacroQueueId, "4bXyZ")
	macros.Set(milter.MacroAuthAuthen, mail.Login)
	told := &answer{Exact: session.ProtocolOption(milter.OptHeaderLeadingSpace), Changes: []change{}}
	for bit := milter.OptAction(1); bit <= milter.OptSetMacros; bit <<= 1 {
		if session.ActionOption(bit) {
			told.Actions |= bit
		}
	}
	if ended, err := begin(session, macros, mail, told); ended || err != nil {
		return told, err
	}
	for start := 0; start < len(mail.Body); start += int(milter.DataSize64K) {
		stop := start + int(milter.DataSize64K)
		if stop > len(mail.Body) {
			stop = len(mail.Body)
		}
		act, err := session.BodyChunk(mail.Body[start:stop])
		if ended, err := told.ends("body", act, err); ended || err != nil {
			return told, err
		}
	}
	changes, act, err := session.End()
	if err != nil {
		return nil, err
	}
	for _, one := range changes {
		told.Changes = append(told.Changes, inWords(&one))
	}
	_, err = told.ends("end", act, err)
	return told, err
}

// From MAIL to the end of the header. True: the filter ended the message there.
func begin(session *milter.ClientSession, macros *milter.MacroBag, mail *message, told *answer) (bool, error) {
	act, err := session.Mail(mail.Sender, "")
	if ended, err := told.ends("mail", act, err); ended || err != nil {
		return ended, err
	}
	for _, recipient := range mail.Recipients {
		macros.Set(milter.MacroRcptMailer, "esmtp")
		macros.Set(milter.MacroRcptHost, "r.test.")
		macros.Set(milter.MacroRcptAddr, recipient)
		act, err := session.Rcpt(recipient, "")
		if ended, err := told.ends("rcpt", act, err); ended || err != nil {
			return ended, err
		}
	}
	act, err = session.DataStart()
	if ended, err := told.ends("data", act, err); ended || err != nil {
		return ended, err
	}
	for _, field := range mail.Fields {
		value := field[1]
		if !told.Exact {
			value = strings.TrimPrefix(value, " ")
		}
		act, err := session.HeaderField(field[0], value, nil)
		if ended, err := told.ends("header", act, err); ended || err != nil {
			return ended, err
		}
	}
	act, err = session.HeaderEnd()
	return told.ends("end of header", act, err)
}

// Notes an answer. True where it ends the message before its time.
func (told *answer) ends(step string, act *milter.Action, err error) (bool, error) {
	if err != nil {
		return false, fmt.Errorf("%s: %w", step, err)
	}
	told.Step, told.Verdict, told.Reply = step, verdicts[act.Type], act.SMTPReply
	return act.Type != milter.ActionContinue, nil
}

func inWords(one *milter.ModifyAction) change {
	what, name, value := changes[one.Type], one.HeaderName, one.HeaderValue
	if one.Type == milter.ActionAddRcpt || one.Type == milter.ActionDelRcpt {
		name, value = one.Rcpt, one.RcptArgs
	}
	return change{what, name, one.HeaderIndex, value, one.Body}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
