package report

import (
	"fmt"
	"io"
)

// Pending is what it costs to hold messages that are due in a year.
type Pending struct {
	AcceptedPerSFirst      float64    `json:"accepted_per_s_first_tenth"`
	AcceptedPerSLast       float64    `json:"accepted_per_s_last_tenth"`
	CPUMSPerAccept         float64    `json:"cpu_ms_per_accept"`
	OthersLatenessMS       *Quantiles `json:"others_lateness_ms"` // of messages that were due in that time
	BytesOnDiskPerSchedule float64    `json:"bytes_on_disk_per_schedule"`
	RSSBeforeMB            float64    `json:"rss_before_mb"`
	RSSAfterMB             float64    `json:"rss_after_mb"`
	RSSRestartedMB         float64    `json:"rss_restarted_mb"`
	RestartS               float64    `json:"restart_s"`
	ListPages              int        `json:"list_pages"`
	ListMS                 *Quantiles `json:"list_ms"`
	ListByEntityMS         *Quantiles `json:"list_by_entity_ms"`
	Rescheduled            int        `json:"rescheduled"`
	RescheduledPerS        float64    `json:"rescheduled_per_s"`
	CPUMSPerReschedule     float64    `json:"cpu_ms_per_reschedule"`
	Cancelled              int        `json:"cancelled"`
	CancelledPerS          float64    `json:"cancelled_per_s"`
	CPUMSPerCancel         float64    `json:"cpu_ms_per_cancel"`
	RSSCancelledMB         float64    `json:"rss_cancelled_mb"`

	PageSize int `json:"-"` // schedules in a page of the list
}

func (p *Pending) write(w io.Writer, r *Result) {
	fmt.Fprintf(w, "\n%s, %s: %d schedules a year away\n", r.Scenario, r.System, r.Messages)
	fmt.Fprintf(w, "  accepted/s: %.0f in the first tenth, %.0f in the last; %.2f CPU ms each\n", p.AcceptedPerSFirst, p.AcceptedPerSLast, p.CPUMSPerAccept)
	fmt.Fprintf(w, "  lateness of others meanwhile: %.0f ms p50, %.0f ms p99, %.0f ms at most\n", p.OthersLatenessMS.P50, p.OthersLatenessMS.P99, p.OthersLatenessMS.Max)
	fmt.Fprintf(w, "  on disk: %.0f bytes each\n", p.BytesOnDiskPerSchedule)
	fmt.Fprintf(w, "  memory in MiB: %.0f before, %.0f after, %.0f started again, %.0f with those cancelled\n", p.RSSBeforeMB, p.RSSAfterMB, p.RSSRestartedMB, p.RSSCancelledMB)
	fmt.Fprintf(w, "  start on them: %.1f s until ready\n", p.RestartS)
	fmt.Fprintf(w, "  a page of %d, through %d pages: %.0f ms p50, %.0f ms p99; of one entity: %.0f ms p50, %.0f ms p99\n", p.PageSize, p.ListPages, p.ListMS.P50, p.ListMS.P99, p.ListByEntityMS.P50, p.ListByEntityMS.P99)
	fmt.Fprintf(w, "  put off/s: %.0f; %.2f CPU ms each of %d\n", p.RescheduledPerS, p.CPUMSPerReschedule, p.Rescheduled)
	fmt.Fprintf(w, "  cancelled/s: %.0f; %.2f CPU ms each of %d\n", p.CancelledPerS, p.CPUMSPerCancel, p.Cancelled)
}
