package apiserver_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
)

const (
	asCloudEvent  = "application/cloudevents+json"
	asCloudEvents = "application/cloudevents-batch+json"
)

// subscriber has the tenant's events come to the channel.
func (a *api) subscriber() <-chan postdate.Message {
	a.t.Helper()
	got := make(chan postdate.Message, 10)
	a.register(registration{"url": receiver(func(_ context.Context, m postdate.Message) (postdate.Attempt, error) {
		got <- m
		return attempt(http.StatusOK), nil
	})})
	return got
}

// What comes as a CloudEvent, in either mode, is the same event, and keeps what
// only CloudEvents have.
func TestCloudEvents_InBothModes(t *testing.T) {
	t.Parallel()
	const data = `{"b":1.10,"a":"\u0026","n":12345678901234567890}`
	for name, send := range map[string]func(a *api) answer{
		"structured": func(a *api) answer {
			return a.do(http.MethodPost, "/v1/events", `{"specversion":"1.0","id":"evt_1","source":"/billing","type":"t.happened",
				"subject":"customer 42 ü","time":"2026-06-01T12:00:00+02:00","dataschema":"https://a.example/s","region":"eu","traced":true,
				"count":7,"nothing":null,"datacontenttype":"application/json; charset=utf-8","data":`+data+`}`,
				"Content-Type", asCloudEvent+"; charset=utf-8")
		},
		"binary": func(a *api) answer {
			return a.do(http.MethodPost, "/v1/events", data, "Content-Type", "application/json", "ce-specversion", "1.0",
				"ce-id", "evt_1", "ce-source", "/billing", "ce-type", "t.happened", "ce-subject", "customer%2042%20%C3%BC",
				"ce-time", "2026-06-01T12:00:00+02:00", "ce-dataschema", "https://a.example/s",
				"ce-region", `"eu"`, "ce-traced", "true", "ce-count", "7")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t)
			got := a.subscriber()
			var made apiserver.Published
			send(a).is(http.StatusAccepted).decode(&made)
			m := <-got
			require.Equal(t, made.ID, m.ID)
			require.Equal(t, "evt_1", m.CloudEvent.ID)
			require.Equal(t, "t.happened", m.Type)
			require.Equal(t, "customer 42 ü", m.Entity)
			require.Equal(t, time.Date(2026, 6, 1, 10, 0, 0, 0, time.UTC), m.Timestamp.UTC())
			require.Equal(t, data, string(m.Data))
			require.Equal(t, "/billing", m.CloudEvent.Source)
			require.Equal(t, "customer 42 ü", m.CloudEvent.Subject)
			require.Equal(t, "https://a.example/s", m.CloudEvent.DataSchema)
			require.Equal(t, "eu", m.CloudEvent.Extensions["region"])
			require.Len(t, m.CloudEvent.Extensions, 3)

			var again apiserver.Published
			send(a).is(http.StatusAccepted).decode(&again)
			require.True(t, again.Duplicate)
		})
	}
}

func TestCloudEvents_TheEntityIsTheExtensionOrTheSubject(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	got := a.subscriber()
	for i, test := range []struct{ attributes, entity string }{
		{`"subject":"s"`, "s"},
		{`"subject":"s","entity":"e"`, "e"},
		{`"subject":"` + strings.Repeat("s", 129) + `"`, ""},
		{`"subject":"a\u202eb"`, ""},
		{`"entity":7`, ""},
	} {
		body := fmt.Sprintf(`{"specversion":"1.0","id":"e%d","type":"t","source":"/x",%s}`, i, test.attributes)
		a.do(http.MethodPost, "/v1/events", body, "Content-Type", asCloudEvent).is(http.StatusAccepted)
		m := <-got
		require.Equal(t, test.entity, m.Entity)
		require.Empty(t, m.Data)
	}
}

func TestCloudEvents_Batch(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	got := a.subscriber()
	var answered apiserver.PublishedBatch
	a.do(http.MethodPost, "/v1/events/batch", `[
		{"specversion":"1.0","id":"b1","source":"/x","type":"t","data":{"n":1}},
		{"specversion":"1.0","id":"b2","source":"/x","type":"t","data":[2]}]`, "Content-Type", asCloudEvents).
		is(http.StatusAccepted).decode(&answered)
	require.Len(t, answered.Data, 2)
	data := map[string]string{}
	for range 2 {
		m := <-got
		data[m.CloudEvent.ID] = string(m.Data)
	}
	require.Equal(t, map[string]string{"b1": `{"n":1}`, "b2": `[2]`}, data)
}

// Others' code publishes to us, in both modes.
func TestCloudEvents_FromTheSDK(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	got := a.subscriber()
	server := httptest.NewServer(a.handler)
	defer server.Close()
	sdk, err := cloudevents.NewClientHTTP(
		cehttp.WithTarget(server.URL+"/v1/events"),
		cehttp.WithHeader("Authorization", "Bearer "+adminKey), cehttp.WithHeader("Postdate-Tenant", a.tenant))
	require.NoError(t, err)
	for mode, ctx := range map[string]context.Context{
		"structured": cloudevents.WithEncodingStructured(t.Context()),
		"binary":     cloudevents.WithEncodingBinary(t.Context()),
	} {
		event := cloudevents.NewEvent()
		event.SetID(mode)
		event.SetSource("https://billing.example/invoices")
		event.SetType("com.example.invoice.paid")
		event.SetSubject("invoice é\"1\" 100%")
		event.SetTime(time.Date(2026, 6, 1, 12, 0, 0, 123000000, time.UTC))
		event.SetExtension("region", "eu central")
		require.NoError(t, event.SetData(cloudevents.ApplicationJSON, map[string]any{"amount": 1}))
		result := sdk.Send(ctx, event)
		require.True(t, cloudevents.IsACK(result), "%v", result)

		m := <-got
		require.Equal(t, mode, m.CloudEvent.ID)
		require.Equal(t, event.Type(), m.Type)
		require.Equal(t, event.Source(), m.CloudEvent.Source)
		require.Equal(t, event.Subject(), m.CloudEvent.Subject)
		require.Equal(t, event.Subject(), m.Entity)
		require.Equal(t, "eu central", m.CloudEvent.Extensions["region"])
		require.Equal(t, event.Time(), m.Timestamp.UTC())
		require.JSONEq(t, `{"amount":1}`, string(m.Data))
	}
}

// Our own form is not mistaken for theirs.
func TestCloudEvents_OurOwnFormStays(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	got := a.subscriber()
	a.do(http.MethodPost, "/v1/events", `{"id":"e","type":"t","data":1,"cloudevent":{"source":"/x","extensions":{"region":"eu"}}}`).
		is(http.StatusAccepted)
	m := <-got
	require.Equal(t, &postdate.CloudEvent{ID: "e", Source: "/x", Extensions: map[string]any{"region": "eu"}}, m.CloudEvent)
}
