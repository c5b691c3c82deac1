// Every call of SparkPost's client for Go, unchanged. Reads {base, key, ca, from, webhook} from standard input and writes
// one JSON object: the name of each call with its result, or with its error.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	sp "github.com/SparkPost/gosparkpost"
	"github.com/SparkPost/gosparkpost/events"
)

type asked struct {
	Base    string `json:"base"`
	Key     string `json:"key"`
	CA      string `json:"ca"`
	From    string `json:"from"`
	Webhook string `json:"webhook"`
}

type answer struct {
	Result interface{} `json:"result,omitempty"`
	Error  string      `json:"error,omitempty"`
	Status int         `json:"status,omitempty"`
}

var told = map[string]answer{}

// Notes what a call gave. res: nil where there was no response at all.
func note(name string, result interface{}, res *sp.Response, err error) {
	one := answer{Result: result}
	if err != nil {
		one = answer{Error: err.Error()}
	}
	if res != nil && res.HTTP != nil {
		one.Status = res.HTTP.StatusCode
	}
	told[name] = one
}

func main() {
	var in asked
	check(json.NewDecoder(os.Stdin).Decode(&in))
	pem, err := os.ReadFile(in.CA)
	check(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	client := &sp.Client{Client: &http.Client{Transport: transport, Timeout: 60 * time.Second}}
	check(client.Init(&sp.Config{BaseUrl: in.Base, ApiKey: in.Key, ApiVersion: 1}))
	sending(client)
	searching(client, in.From)
	suppressing(client)
	webhooks(client, in.Webhook)
	check(json.NewEncoder(os.Stdout).Encode(told))
}

func sending(client *sp.Client) {
	off := false
	id, res, err := client.Send(&sp.Transmission{
		CampaignID:       "go letter",
		Options:          &sp.TxOptions{TmplOptions: sp.TmplOptions{ClickTracking: &off}},
		Metadata:         map[string]string{"from": "go"},
		SubstitutionData: map[string]string{"name": "You"},
		Recipients: []sp.Recipient{
			{Address: sp.Address{Email: "go.to@rcpt.test", Name: "To Name"}, Tags: []string{"one"}},
			{Address: sp.Address{Email: "go.cc@rcpt.test", HeaderTo: "go.to@rcpt.test"}},
		},
		Content: sp.Content{
			From: sp.From{Email: "go@sender.test", Name: "Gö"}, Subject: "Hi {{name}}", HTML: "<p>{{name}}</p>",
			Headers: map[string]string{"CC": "go.cc@rcpt.test"},
		},
	})
	note("Send", id, res, err)
	id, res, err = client.Send(&sp.Transmission{
		Recipients: []string{"go.to@rcpt.test"}, Content: map[string]string{"template_id": "letter"},
	})
	note("Send (template)", id, res, err)
	list, res, err := client.Transmissions(&sp.Transmission{})
	note("Transmissions", list, res, err)
}

// The types of events with what could not be read as one, in the order they came.
func kinds(found events.Events) []string {
	names := []string{}
	for _, event := range found {
		if unknown, is := event.(*events.Unknown); is {
			names = append(names, fmt.Sprintf("unknown: %v", unknown.Error))
			continue
		}
		names = append(names, event.EventType())
	}
	return names
}

func searching(client *sp.Client, from string) {
	page := &sp.EventsPage{Params: map[string]string{"events": "open,click", "from": from, "per_page": "2"}}
	res, err := client.MessageEventsSearch(page)
	names := kinds(page.Events)
	for err == nil && page.NextPage != "" && len(names) < 20 {
		page, res, err = page.Next()
		if err == nil {
			names = append(names, kinds(page.Events)...)
		}
	}
	note("MessageEventsSearch, Next", names, res, err)
	samples, res, err := client.EventSamples([]string{"open", "click", "bounce"})
	if samples != nil {
		note("EventSamples", kinds(*samples), res, err)
	} else {
		note("EventSamples", nil, res, err)
	}
	groups, res, err := client.EventDocumentation()
	found := []string{}
	for name, group := range groups {
		for kind := range group.Events {
			found = append(found, name+"/"+kind)
		}
	}
	note("EventDocumentation", found, res, err)
	for _, extra := range []string{"", "campaign", "time-series", "domain", "bounce-classification"} {
		metrics := &sp.Metrics{ExtraPath: extra, Params: map[string]string{
			"from": from, "metrics": "count_injected,count_clicked,count_rendered,count_unique_clicked", "precision": "day",
		}}
		res, err := client.QueryMetrics(metrics)
		note("QueryMetrics ("+extra+")", metrics.Results, res, err)
	}
}

func suppressing(client *sp.Client) {
	res, err := client.SuppressionUpsert([]sp.WritableSuppressionEntry{
		{Recipient: "go+one@rcpt.test", Type: "transactional", Description: "by go"},
		{Recipient: "go.two@rcpt.test", Type: "non_transactional"},
	})
	note("SuppressionUpsert", "done", res, err)
	page := &sp.SuppressionPage{Params: map[string]string{"types": "transactional", "per_page": "5"}}
	res, err = client.SuppressionSearch(page)
	note("SuppressionSearch", page.Results, res, err)
	page = &sp.SuppressionPage{}
	res, err = client.SuppressionList(page)
	note("SuppressionList", page.Results, res, err)
	page = &sp.SuppressionPage{}
	res, err = client.SuppressionRetrieve("go.two@rcpt.test", page)
	note("SuppressionRetrieve", page.Results, res, err)
	res, err = client.SuppressionDelete("go.two@rcpt.test")
	note("SuppressionDelete", "done", res, err)
}

func webhooks(client *sp.Client, id string) {
	list := &sp.WebhookListWrapper{}
	res, err := client.Webhooks(list)
	note("Webhooks", list.Results, res, err)
	one := &sp.WebhookDetailWrapper{ID: id}
	res, err = client.WebhookDetail(one)
	note("WebhookDetail", one.Results, res, err)
	status := &sp.WebhookStatusWrapper{ID: id}
	res, err = client.WebhookStatus(status)
	note("WebhookStatus", status.Results, res, err)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
