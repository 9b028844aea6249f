package apiserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
)

const nextURL = "https://next.example/hooks"

func TestCanary_IsGivenChangedAndRemoved(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.register(registration{"canary": map[string]any{
		"url": nextURL, "entities": []string{"b", "a", "b"}, "plan": []map[string]any{{"percent": 1.5, "for": "1h"}, {"percent": 100}},
	}})
	require.Regexp(t, "^cn_", made.Canary.ID)
	require.Equal(t, postdate.CanaryRunning, made.Canary.State)
	require.Equal(t, 150, made.Canary.Share)
	require.Equal(t, 1, made.Canary.Step)
	require.Equal(t, []string{"a", "b"}, made.Canary.Entities)
	require.Equal(t, postdate.ThenHold, made.Canary.Then)

	grown := a.onEndpoint(http.MethodPatch, made.ID, `{"canary":{"url":"`+nextURL+`","share":500}}`)
	require.Equal(t, made.Canary.ID, grown.Canary.ID, "it keeps its entities")
	require.Equal(t, 500, grown.Canary.Share)
	require.Empty(t, grown.Canary.Entities, "what is not given again is no more")
	named := a.onEndpoint(http.MethodPatch, made.ID, `{"description":"the CRM"}`)
	require.Equal(t, grown.Canary, named.Canary)
	another := a.onEndpoint(http.MethodPatch, made.ID, `{"canary":{"url":"`+nextURL+`/v3","share":500}}`)
	require.NotEqual(t, made.Canary.ID, another.Canary.ID)
	require.Nil(t, a.onEndpoint(http.MethodPatch, made.ID, `{"canary":{}}`).Canary)
}

func TestCanary_IsPromotedHeldAndRolledBack(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	canary := registration{"canary": map[string]any{"url": nextURL, "share": 100}}
	promoted := a.register(canary).ID
	require.Equal(t, postdate.CanaryHeld, a.onEndpoint(http.MethodPost, promoted+"/canary/hold", "").Canary.State)
	e := a.onEndpoint(http.MethodPost, promoted+"/canary/promote", "")
	require.Equal(t, nextURL, e.URL)
	require.Equal(t, postdate.CanaryPromoted, e.Canary.State)
	require.WithinDuration(t, time.Now(), e.Canary.EndedAt, time.Minute)
	require.Equal(t, e, a.onEndpoint(http.MethodPost, promoted+"/canary/promote", ""), "repeated, it changes nothing")
	a.do(http.MethodPost, "/v1/endpoints/"+promoted+"/canary/rollback", "").is(http.StatusConflict)

	back := a.register(canary).ID
	require.Equal(t, postdate.CanaryRolledBack, a.onEndpoint(http.MethodPost, back+"/canary/rollback", "").Canary.State)
	for _, action := range []string{"hold", "promote"} {
		a.do(http.MethodPost, "/v1/endpoints/"+back+"/canary/"+action, "").is(http.StatusConflict)
	}
	for _, action := range []string{"hold", "promote", "rollback"} {
		a.do(http.MethodPost, "/v1/endpoints/"+a.register(nil).ID+"/canary/"+action, "").is(http.StatusNotFound)
		a.do(http.MethodPost, "/v1/endpoints/ep_none/canary/"+action, "").is(http.StatusNotFound)
	}
}

func TestCanary_IsHeldToItsRules(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	e := a.register(nil)
	for body, pointer := range map[string]string{
		`{"share":1}`:                                                                                "/canary/url",
		`{"url":"` + nextURL + `"}`:                                                                  "/canary",
		`{"url":"` + e.URL + `","share":1}`:                                                          "/canary/url",
		`{"url":"` + nextURL + `","share":10001}`:                                                    "/canary/share",
		`{"url":"` + nextURL + `","share":"1%"}`:                                                     "/canary/share",
		`{"url":"` + nextURL + `","share":1,"plans":1}`:                                              "/canary/plans",
		`{"url":"` + nextURL + `","share":1,"plan":[{"percent":1}]}`:                                 "/canary/share",
		`{"url":"` + nextURL + `","plan":[]}`:                                                        "/canary/plan",
		`{"url":"` + nextURL + `","plan":[{"percent":1,"for":"0s"},{"percent":2}]}`:                  "/canary/plan/0/for",
		`{"url":"` + nextURL + `","plan":[{"percent":2,"for":"1s"},{"percent":1}]}`:                  "/canary/plan/1/percent",
		`{"url":"` + nextURL + `","share":1,"then":"promote"}`:                                       "/canary/then",
		`{"url":"` + nextURL + `","plan":[{"percent":1}],"then":"promote","mirror":true}`:            "/canary/then",
		`{"url":"` + nextURL + `","share":1,"auto_rollback":{"margin":5}}`:                           "/canary/auto_rollback/minimum",
		`{"url":"` + nextURL + `","share":1,"auto_rollback":{"margin":100,"minimum":1}}`:             "/canary/auto_rollback/margin",
		`{"url":"` + nextURL + `","share":1,"auto_rollback":{"margin":5,"minimum":1,"window":"1s"}}`: "/canary/auto_rollback/window",
		`{"url":"` + nextURL + `","share":1,"rate_limit":{"per_second":1,"per_minute":1}}`:           "/canary/rate_limit",
	} {
		problem := a.do(http.MethodPatch, "/v1/endpoints/"+e.ID, `{"canary":`+body+`}`).problem(http.StatusUnprocessableEntity, postdate.Invalid)
		require.Equal(t, pointer, problem.Errors[0].Pointer, body)
	}
	require.Nil(t, a.onEndpoint(http.MethodGet, e.ID, "").Canary)
	var health apiserver.Health
	a.do(http.MethodGet, "/v1/endpoints/"+e.ID+"/health", "").is(http.StatusOK).decode(&health)
	require.Nil(t, health.Canary)
}
