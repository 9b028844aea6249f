package postdate_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

const manyEntities = 100_000

// entitiesOf are as many entities, named as callers name them.
func entitiesOf() []string {
	entities := make([]string, manyEntities)
	for i := range entities {
		entities[i] = fmt.Sprintf("customer_%d", i)
	}
	return entities
}

// TestCanaryBucket_IsTheSameInEveryVersion holds the place of each of 100,000 entities: who
// goes to a canary must not change with a release.
func TestCanaryBucket_IsTheSameInEveryVersion(t *testing.T) {
	t.Parallel()
	const golden = "testdata/canary.golden"
	var is strings.Builder
	all := sha256.New()
	for i, entity := range entitiesOf() {
		line := fmt.Sprintf("%s %d\n", entity, postdate.CanaryBucket("cn_golden", entity))
		_, _ = all.Write([]byte(line))
		if i < 100 {
			is.WriteString(line)
		}
	}
	fmt.Fprintf(&is, "all %d: sha256 %s\n", manyEntities, hex.EncodeToString(all.Sum(nil)))
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(is.String()), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), is.String(), "entities would move between a canary and its primary: this must not change")
}

func TestCanary_TakesItsShare(t *testing.T) {
	t.Parallel()
	entities := entitiesOf()
	for _, share := range []int{0, 1, 100, 1000, 2500, 5000, 9900, postdate.WholeShare} {
		canary := postdate.Canary{ID: "cn_golden", Share: share}
		taken := 0
		for _, entity := range entities {
			if canary.Takes(entity) {
				taken++
			}
		}
		is, asked := float64(taken)/manyEntities, float64(share)/postdate.WholeShare
		assert.InDelta(t, asked, is, 0.01, "share %d", share)
		if share >= 5000 {
			assert.InEpsilon(t, asked, is, 0.01, "share %d", share)
		}
		if share == 0 || share == postdate.WholeShare {
			assert.Equal(t, asked, is, "none and all are exact") //nolint:testifylint // they are
		}
	}
}

func TestCanary_KeepsWhomItHasAsItsShareGrows(t *testing.T) {
	t.Parallel()
	canary := postdate.Canary{ID: "cn_golden"}
	for _, entity := range entitiesOf()[:10_000] {
		bucket := postdate.CanaryBucket(canary.ID, entity)
		for _, share := range []int{bucket, bucket + 1, postdate.WholeShare} {
			canary.Share = share
			require.Equal(t, share > bucket, canary.Takes(entity), "%s with share %d", entity, share)
		}
	}
}

func TestCanary_ChoosesOthersThanAnotherCanary(t *testing.T) {
	t.Parallel()
	one, other := postdate.Canary{ID: "cn_1", Share: 1000}, postdate.Canary{ID: "cn_2", Share: 1000}
	both := 0
	for _, entity := range entitiesOf() {
		if one.Takes(entity) && other.Takes(entity) {
			both++
		}
	}
	require.InDelta(t, 1000, both, 150, "a tenth of a tenth: as by chance")
}

func TestCanary_TakesWhoIsListed(t *testing.T) {
	t.Parallel()
	canary := postdate.Canary{ID: "cn_1", Entities: []string{"a", "b", "c"}, ExcludedEntities: []string{"b", "x"}}
	require.True(t, canary.Takes("a"))
	require.False(t, canary.Takes("b"), "whoever is excluded is")
	require.False(t, canary.Takes("d"))
	canary.Share = postdate.WholeShare
	require.True(t, canary.Takes("d"))
	require.False(t, canary.Takes("x"))
	require.False(t, canary.Takes(""), "no entity: the primary")
}

func TestEndpoint_SideFollowsTheAttemptBefore(t *testing.T) {
	t.Parallel()
	e := postdate.Endpoint{ID: "ep_1", URL: "https://a.example", Canary: &postdate.Canary{
		ID: "cn_1", URL: "https://b.example", Entities: []string{"in"}, State: postdate.CanaryRunning, MaxInFlight: 3,
	}}
	for took, sides := range map[string][2]string{
		"":                   {"cn_1", ""},
		"cn_1":               {"cn_1", "cn_1"},
		"cn_0":               {"", ""},
		postdate.TookPrimary: {"", ""},
	} {
		require.Equal(t, sides[0], e.Side("in", took), "took %q", took)
		require.Equal(t, sides[1], e.Side("out", took), "took %q", took)
	}
	there := e.At("cn_1")
	require.Equal(t, "https://b.example", there.URL)
	require.Equal(t, 3, there.Pace(100).InFlight)
	require.Equal(t, "cn_1", there.Target(time.Now()).Canary)
	require.Equal(t, e, e.At(""))
	require.Equal(t, e, e.At("cn_0"))

	for _, state := range []postdate.CanaryState{postdate.CanaryPromoted, postdate.CanaryRolledBack} {
		ended := *e.Canary
		ended.State = state
		require.Empty(t, postdate.Endpoint{Canary: &ended}.Side("in", ""), state)
		require.Empty(t, postdate.Endpoint{Canary: &ended}.Side("in", "cn_1"), state)
	}
	mirror := *e.Canary
	mirror.Mirror = true
	require.Empty(t, postdate.Endpoint{Canary: &mirror}.Side("in", ""), "a mirror gets copies alone")
	require.Empty(t, postdate.Endpoint{}.Side("in", "cn_1"))
}

func TestCanary_OfTheSameURLKeepsItsEntities(t *testing.T) {
	t.Parallel()
	at := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	first := (&postdate.Canary{ID: "cn_1", URL: "https://b.example", Share: 100}).Begun(nil, at)
	require.True(t, first.Active())
	again := (&postdate.Canary{ID: "cn_2", URL: "https://b.example", Plan: []postdate.CanaryStep{{Percent: 12.34}}}).Begun(first, at.Add(time.Hour))
	require.Equal(t, "cn_1", again.ID)
	require.Equal(t, 1234, again.Share)
	require.Equal(t, postdate.ThenHold, again.Then)
	require.Equal(t, at, again.CreatedAt)
	require.Equal(t, "cn_3", (&postdate.Canary{ID: "cn_3", URL: "https://c.example"}).Begun(first, at).ID, "another url is another canary")
	first.State = postdate.CanaryRolledBack
	require.Equal(t, "cn_3", (&postdate.Canary{ID: "cn_3", URL: "https://b.example"}).Begun(first, at).ID, "and so is one after the end of the first")
}

func TestCanary_Validate(t *testing.T) {
	t.Parallel()
	steps := func(steps ...postdate.CanaryStep) []postdate.CanaryStep { return steps }
	minute := postdate.Duration(time.Minute)
	for pointer, canary := range map[string]postdate.Canary{
		"/canary/url":                   {URL: "http://b.example", Share: 1},
		"/canary":                       {},
		"/canary/share":                 {Share: 10_001},
		"/canary/max_in_flight":         {Share: 1, MaxInFlight: -1},
		"/canary/rate_limit/per_second": {Share: 1, RateLimit: &postdate.RateLimit{PerSecond: 1e6}},
		"/canary/entities/1":            {Entities: []string{"a", "b\n"}},
		"/canary/excluded_entities":     {Share: 1, ExcludedEntities: slices.Repeat([]string{"a"}, 1001)},
		"/canary/plan":                  {Plan: slices.Repeat(steps(postdate.CanaryStep{Percent: 1, For: minute}), 21)},
		"/canary/plan/0/percent":        {Plan: steps(postdate.CanaryStep{Percent: 0.001})},
		"/canary/plan/1/percent":        {Plan: steps(postdate.CanaryStep{Percent: 2, For: minute}, postdate.CanaryStep{Percent: 1})},
		"/canary/plan/0/for":            {Plan: steps(postdate.CanaryStep{Percent: 2}, postdate.CanaryStep{Percent: 3})},
		"/canary/plan/1/for":            {Plan: steps(postdate.CanaryStep{Percent: 2, For: minute}, postdate.CanaryStep{Percent: 3, For: -1})},
		"/canary/then":                  {Share: 1, Then: postdate.ThenHold},
		"/canary/auto_rollback/margin":  {Share: 1, AutoRollback: &postdate.AutoRollback{Minimum: 1}},
		"/canary/auto_rollback/minimum": {Share: 1, AutoRollback: &postdate.AutoRollback{Margin: 1}},
		"/canary/auto_rollback/window":  {Share: 1, AutoRollback: &postdate.AutoRollback{Margin: 1, Minimum: 1, Window: 1}},
	} {
		if canary.URL == "" {
			canary.URL = "https://b.example"
		}
		err := canary.Validate(false)
		var refused *postdate.Error
		require.ErrorAs(t, err, &refused, pointer)
		require.Equal(t, pointer, refused.Pointer)
	}
	mirror := postdate.Canary{URL: "https://b.example", Mirror: true, Plan: steps(postdate.CanaryStep{Percent: 100}), Then: postdate.ThenPromote}
	require.ErrorContains(t, mirror.Validate(false), "/canary/then")
	good := postdate.Canary{
		URL: "https://b.example", Then: postdate.ThenPromote, AutoRollback: &postdate.AutoRollback{Margin: 5, Minimum: 50},
		Plan: steps(postdate.CanaryStep{Percent: 1, For: 10 * minute}, postdate.CanaryStep{Percent: 10, For: 60 * minute}, postdate.CanaryStep{Percent: 100}),
	}
	require.NoError(t, good.Validate(false))
}

func TestEndpoint_ValidatesItsCanary(t *testing.T) {
	t.Parallel()
	e := postdate.Endpoint{
		URL: "https://a.example", EventTypes: []string{"*"}, Mode: postdate.Standard, Signature: postdate.HMAC,
		Canary: &postdate.Canary{URL: "https://b.example", Share: 1},
	}
	require.NoError(t, e.Validate(false))
	e.Canary.URL = e.URL
	require.ErrorContains(t, e.Validate(false), "/canary/url")
	e.Canary.State = postdate.CanaryPromoted
	require.NoError(t, e.Validate(false), "what has ended is only remembered")
	e.Canary.State, e.URL, e.Stream, e.Mode = "", "", "payments", postdate.CloudEventsBinary
	require.ErrorContains(t, e.Validate(false), "/canary")
}
