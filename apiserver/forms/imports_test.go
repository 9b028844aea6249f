package forms

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/protocol"
)

const line = `{"type":"t","to":{"url":"https://b.example/hooks"},"delay":"1h"}`

func named(id string) string { return strings.Replace(line, "{", `{"id":"`+id+`",`, 1) }

// imported is what an import answered, line by line.
func (d *door) imported(query, body string, headers ...string) ([]apiserver.ImportedLine, answer) {
	d.t.Helper()
	w := d.post("/v1/schedules/import"+query, body, append([]string{"Content-Type", "application/x-ndjson"}, headers...)...)
	require.Equal(d.t, http.StatusOK, w.Code, w.Body.String())
	require.Equal(d.t, "application/x-ndjson", w.Header().Get("Content-Type"))
	var lines []apiserver.ImportedLine
	for text := range strings.Lines(w.Body.String()) {
		var one apiserver.ImportedLine
		require.NoError(d.t, json.Unmarshal([]byte(text), &one))
		lines = append(lines, one)
	}
	return lines, w
}

func statuses(lines []apiserver.ImportedLine) (numbers, statuses []int) {
	for _, one := range lines {
		numbers, statuses = append(numbers, one.Line), append(statuses, one.Status)
	}
	return numbers, statuses
}

func TestImport_AnswersEachLineInItsPlace(t *testing.T) { //nolint:tparallel // its cases share a door
	t.Parallel()
	d := newDoor(t)
	for name, c := range map[string]struct { //nolint:paralleltest // they share a door
		body     string
		numbers  []int
		statuses []int
	}{
		"none":                     {" ", nil, nil},
		"one without its end":      {line, []int{1}, []int{201}},
		"ends of Windows":          {line + "\r\n" + line + "\r\n", []int{1, 2}, []int{201, 201}},
		"a mark of the byte order": {"\ufeff" + line + "\n", []int{1}, []int{201}},
		"blank lines are counted":  {"\n \n" + line + "\n\r\n\n" + line + "\n\n", []int{3, 6}, []int{201, 201}},
		"a bad one stops nothing": {
			line + "\nnot JSON\n" + `{"type":"t","delay":"-1h"}` + "\n" + `{"typ":"t"}` + "\n{\n" + line + line + "\n[]\n" + line + "\n",
			[]int{1, 2, 3, 4, 5, 6, 7, 8},
			[]int{201, 400, 422, 422, 400, 400, 422, 201},
		},
		"half a character": {"{\"type\":\"\xff\"}\n" + line, []int{1, 2}, []int{400, 201}},
		"too long":         {`{"type":"` + strings.Repeat("x", 300<<10) + "\"}\n" + line, []int{1, 2}, []int{413, 201}},
		"a megabyte":       {line + "\n" + strings.Repeat("x", 1<<20) + "\n" + line, []int{1, 2, 3}, []int{201, 413, 201}},
		"due again and again": {
			`{"type":"t","recurrence":{"cron":"0 9 * * *"}}`, []int{1}, []int{422},
		},
	} {
		t.Run(name, func(t *testing.T) {
			lines, w := d.of(t).imported("", c.body)
			numbers, statuses := statuses(lines)
			require.Equal(t, c.numbers, numbers, w.Body.String())
			require.Equal(t, c.statuses, statuses, w.Body.String())
			lines, _ = d.of(t).imported("", packed(t, c.body), "Content-Encoding", "gzip")
			require.Len(t, lines, len(numbers), "packed")
		})
	}
}

func TestImport_SaysWhatIsWrongWithALine(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	lines, _ := d.imported("", `{"type":"t","delay":"-1h"}`+"\n"+`{"type":`+"\n"+`{"delay":"1h","no":1}`)
	require.Equal(t, []apiserver.FieldError{{Pointer: "/delay", Detail: "a delay cannot be negative"}}, lines[0].Errors)
	require.Equal(t, "not JSON: column 9: unexpected end", lines[1].Detail)
	require.Equal(t, []apiserver.FieldError{{Pointer: "/no", Detail: "is not known"}, {Pointer: "/type", Detail: "is missing"}}, lines[2].Errors)
	for _, one := range lines {
		require.Empty(t, one.ID)
		require.NotEmpty(t, one.Code)
	}
}

func TestImport_MakesIdsOfItsNameAndTheLines(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	ids := func(query, body string, headers ...string) []string {
		t.Helper()
		lines, _ := d.imported(query, body, headers...)
		var all []string
		for _, one := range lines {
			all = append(all, one.ID)
		}
		return all
	}
	body := line + "\n" + named("mine") + "\n" + line
	a := ids("?import=a", body)
	require.Equal(t, "mine", a[1])
	require.NotEqual(t, a[0], a[2])
	require.Equal(t, a, ids("?import=a", body))
	group := func(id string) string { return id[:strings.LastIndex(id, "_")] } // what is in it, Temporal says
	require.Equal(t, group(a[2]), group(ids("?import=a", "\n\n"+line)[0]), "a blank line stands for one that is not sent again")
	require.NotEqual(t, group(a[2]), group(ids("?import=a", strings.Repeat("\n", 100)+line)[0]), "line 101 is of the next hundred")
	require.NotEqual(t, a[0], ids("?import=b", line)[0])
	require.NotEqual(t, a[0], ids("", line, "Idempotency-Key", "a")[0], "a key is no name")
	require.Equal(t, ids("?import=a", line, "Idempotency-Key", "k"), ids("?import=b", line, "Idempotency-Key", "k"), "the key says it, where both are given")
	made := ids("", line)
	require.NotEqual(t, made, ids("", line))
}

func TestImport_SetsTheNameOfWhatItCreates(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	_, w := d.imported("?import=settlements-2026.12", line+"\n"+line)
	require.Len(t, w.passed, 1, "they share an execution")
	group, ok := w.passed[0].(protocol.ScheduleGroupInput)
	require.True(t, ok)
	for place := range 2 {
		require.Equal(t, "settlements-2026.12", group.DeliverInput(place).Import)
		require.Equal(t, "settlements-2026.12", group.Item(place).Import)
		require.Equal(t, place+1, group.Entries[place].Line)
	}
	_, w = d.imported("?import=settlements-2026.12", named("mine"))
	in, ok := w.passed[0].(protocol.DeliverInput)
	require.True(t, ok)
	require.Equal(t, "settlements-2026.12", in.Import)
	_, w = d.imported("", line)
	require.Empty(t, w.passed[0].(protocol.DeliverInput).Import)
}

func TestImport_RefusesTheRequestAsAWhole(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.post("/v1/schedules/import", line).refused(http.StatusUnsupportedMediaType, "")
	ndjson := []string{"Content-Type", "application/x-ndjson"}
	d.post("/v1/schedules/import", line, append(ndjson, "Content-Encoding", "br")...).refused(http.StatusUnsupportedMediaType, "")
	d.post("/v1/schedules/import?import=a/b", line, ndjson...).refused(http.StatusUnprocessableEntity, "/import")
	d.post("/v1/schedules/import?import=", line, ndjson...).refused(http.StatusUnprocessableEntity, "/import")
	d.post("/v1/schedules/import?dry_run=maybe", line, ndjson...).refused(http.StatusUnprocessableEntity, "/dry_run")
	d.do(http.MethodGet, "/v1/schedules?import=a/b", "").refused(http.StatusUnprocessableEntity, "/import")
	d.do(http.MethodGet, "/v1/imports/a%2Fb", "").refused(http.StatusUnprocessableEntity, "/name")
}

func TestImport_EndsWhereItCannotBeUnpacked(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	whole := packed(t, line+"\n"+line+"\n"+line[:20])
	for name, body := range map[string]string{
		"not gzip":         line,
		"its end is gone":  whole[:len(whole)-6],
		"something behind": whole + "rubbish, and more of it",
	} {
		lines, w := d.imported("", body, "Content-Encoding", "gzip")
		require.NotEmpty(t, lines, name)
		last := lines[len(lines)-1]
		require.Equal(t, http.StatusBadRequest, last.Status, name+w.Body.String())
		require.Contains(t, last.Detail, "cannot be unpacked", name)
		require.LessOrEqual(t, len(w.passed), 2, name)
	}
	lines, _ := d.imported("", packed(t, line+"\n")+packed(t, line+"\n"), "Content-Encoding", "gzip")
	require.Len(t, lines, 2, "several files, one after the other, are one")
}

func TestImport_UnpacksNoBomb(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for name, bomb := range map[string]struct {
		of        string
		mebibytes int
	}{"a line without end": {"x", 150}, "blank lines": {"\n", 70}} {
		// Gzip may consist of members, each packed by itself.
		body := packed(t, line+"\n") + strings.Repeat(packed(t, strings.Repeat(bomb.of, 1<<20)), bomb.mebibytes)
		lines, _ := d.imported("", body, "Content-Encoding", "gzip")
		require.Len(t, lines, 2, name)
		require.Equal(t, http.StatusRequestEntityTooLarge, lines[1].Status, name)
	}
}

func TestImport_ChecksWithoutMaking(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	lines, w := d.imported("?dry_run=true&import=a", line+"\n"+named("x")+"\n"+`{"type":"t","to":{"endpoint":"ep_none"}}`+"\n"+`{"type":"t","to":{"url":"http://localhost/"}}`)
	require.Empty(t, w.passed)
	_, all := statuses(lines)
	require.Equal(t, []int{200, 200, 422, 422}, all)
	require.Equal(t, "/to/endpoint", lines[2].Errors[0].Pointer)
}

func TestBatch_AnswersEachInItsPlace(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	batch := func(headers []string, schedules ...string) ([]apiserver.ScheduleResult, answer) {
		t.Helper()
		w := d.post("/v1/schedules/batch", `{"schedules":[`+strings.Join(schedules, ",")+`]}`, headers...)
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		var answered apiserver.ScheduledBatch
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answered))
		require.Len(t, answered.Data, len(schedules))
		return answered.Data, w
	}
	results, w := batch(nil, line, `{"typ":1}`, named("x"), `null`, `{"type":"t","delay":"-1h"}`, `{"type":"t","type":"u"}`)
	require.Len(t, w.passed, 2)
	for place, status := range []int{201, 422, 201, 422, 422, 422} {
		require.Equal(t, status, results[place].Status, "%d: %+v", place, results[place])
	}
	require.Equal(t, "x", results[2].ID)
	require.Equal(t, "/delay", results[4].Errors[0].Pointer)

	key := []string{"Idempotency-Key", "k"}
	first, _ := batch(key, line, line)
	again, _ := batch(key, line, line)
	require.Equal(t, first, again)
	require.NotEqual(t, first[0].ID, first[1].ID)
	many := make([]string, 1000)
	for i := range many {
		many[i] = strings.Replace(named(fmt.Sprint("s", i)), "{", `{"data":"`+strings.Repeat("x", 1000)+`",`, 1)
	}
	_, w = batch(nil, many...)
	require.Len(t, w.passed, 1000)
}

func TestBatch_RefusesTheRequestAsAWhole(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for body, pointer := range map[string]string{
		`{}`: "/schedules", `{"schedules":[]}`: "/schedules", `{"schedules":null}`: "/schedules",
		`{"schedules":[` + line + `],"x":1}`:                            "/x",
		`{"schedules":[` + strings.Repeat(line+",", 1000) + line + `]}`: "/schedules",
	} {
		d.post("/v1/schedules/batch", body).refused(http.StatusUnprocessableEntity, pointer)
	}
	d.post("/v1/schedules/batch", `{"schedules":`+line+`}`).refused(http.StatusBadRequest, "")
	d.post("/v1/schedules/batch", `{"schedules":["`+strings.Repeat("x", 5<<20)+`"]}`).refused(http.StatusRequestEntityTooLarge, "")
}
