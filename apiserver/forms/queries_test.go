package forms

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// What cannot be read to its end is refused: a filter that is dropped would mean
// everything.
func TestQueries_AreReadToTheirEnd(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, path := range []string{"/v1/schedules", "/v1/deliveries", "/v1/endpoints"} {
		for query, pointer := range map[string]string{
			"entity=a%zz":      "/entity",
			"entity=50%":       "/entity",
			"entity=a;b":       "/entity",
			"entity=a;limit=1": "/entity",
			"state=dead%":      "/state",
			"cursor=%zz":       "/cursor",
			"limit=2;":         "/limit",
			"limit=1&entity=%": "/entity",
			"entity%zz=1":      "/entity%zz",
			"%65ntity=%4":      "/entity",
			";":                "/;",
			"due_before=2027-01-01T00:00:00Z;entity=e": "/due_before",
		} {
			p := d.do(http.MethodGet, path+"?"+query, "").refused(http.StatusBadRequest, pointer)
			require.EqualValues(t, "malformed", p.Code)
		}
	}
	d.post("/v1/schedules?a=%zz", `{"type":"t"}`).refused(http.StatusBadRequest, "/a")
	d.do(http.MethodDelete, "/v1/schedules/x?a=;", "").refused(http.StatusBadRequest, "/a")
	d.do(http.MethodGet, "/healthz?a=%", "").refused(http.StatusBadRequest, "/a")
}

func TestQueries_HoldAnythingThatIsEncoded(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for query, condition := range map[string]string{
		"entity=50%25":     "Entity IN ('50%', ",
		"entity=a%3Bb":     "Entity IN ('a;b', ",
		"entity=a+b":       "Entity IN ('a b', ",
		"entity=a%26b":     "Entity IN ('a&b', ",
		"entity=a=b":       "Entity IN ('a=b', ",
		"entity=%E2%82%AC": "Entity IN ('€', ",
		"&entity=e&":       "Entity IN ('e', ",
	} {
		w := d.do(http.MethodGet, "/v1/deliveries?"+query, "")
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		require.Contains(t, w.passed[0], condition)
	}
}
