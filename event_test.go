package postdate_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

func TestDeliveryID_IsReadBack(t *testing.T) {
	t.Parallel()
	event, endpoint, ok := postdate.SplitDeliveryID(postdate.DeliveryID("evt:1", "ep_2"))
	require.True(t, ok)
	require.Equal(t, "evt:1", event)
	require.Equal(t, "ep_2", endpoint)
	_, _, ok = postdate.SplitDeliveryID("pr_123-expiry")
	require.False(t, ok)

	require.NoError(t, postdate.ValidateDeliveryID("/id", "evt:1.ep_2"))
	require.NoError(t, postdate.ValidateDeliveryID("/id", "pr_123"))
	for _, wrong := range []string{"", ".", "evt.", ".ep", "evt.ep.x", "e/v.ep"} {
		require.Error(t, postdate.ValidateDeliveryID("/id", wrong), wrong)
	}
}

func TestGroupedID_SaysWhereItsEventIs(t *testing.T) {
	t.Parallel()
	const group = "0197a1c56a667c1e9a68b1b7fcb1ce10"
	got, place, ok := postdate.SplitGroupedID(postdate.GroupedID(group, 42))
	require.True(t, ok)
	require.Equal(t, group, got)
	require.Equal(t, 42, place)
	for _, own := range []string{"evt_1", "evt_" + group, "evt_" + group + "_042", "evt_" + group + "_", "EVT_" + group + "_1"} {
		_, _, ok := postdate.SplitGroupedID(own)
		require.False(t, ok, own)
		require.NoError(t, postdate.Event{ID: own, Type: "t"}.Validate(), own)
	}
	require.Error(t, postdate.Event{ID: postdate.GroupedID(group, 0), Type: "t"}.Validate(), "nobody may choose it")
}

// extended is an event with an extension.
func extended(name string, value any) postdate.Event {
	return postdate.Event{Type: "t", CloudEvent: &postdate.CloudEvent{Source: "/x", Extensions: map[string]any{name: value}}}
}

func TestEvent_RefusesWhatCouldNotBePublished(t *testing.T) {
	t.Parallel()
	for pointer, e := range map[string]postdate.Event{
		"/id": {ID: "a.b", Type: "t"}, "/type": {}, "/entity": {Type: "t", Entity: "a\nb"},
		"/cloudevent/source":                 {Type: "t", CloudEvent: &postdate.CloudEvent{}},
		"/cloudevent/extensions/specversion": extended("specversion", "1.0"),
		"/cloudevent/extensions/nested":      extended("nested", []any{}),
		"/cloudevent/extensions/a~1b":        extended("a/b", "x"),
		"/cloudevent/datacontenttype":        {Type: "t", CloudEvent: &postdate.CloudEvent{Source: "/x", DataContentType: "text/xml"}},
	} {
		var refused *postdate.Error
		require.ErrorAs(t, e.Validate(), &refused)
		require.Equal(t, pointer, refused.Pointer)
	}
}

func TestEvent_KeepsWhatCloudEventsHave(t *testing.T) {
	t.Parallel()
	for _, value := range []any{"eu", true, 7.0} {
		require.NoError(t, extended("region", value).Validate())
	}
	for _, name := range []string{"", "Region", "a-b", "a\nb", "data"} {
		require.Error(t, extended(name, "eu").Validate(), name)
	}
}
