package report

import (
	"fmt"
	"io"
)

// Imported is what it costs to import many schedules, to hold them, and to do something to
// all of them.
type Imported struct {
	ImportedPerS      float64    `json:"imported_per_s"`
	CPUMSPerImported  float64    `json:"cpu_ms_per_imported"`
	RepeatedPerS      float64    `json:"repeated_per_s"` // the same lines sent again
	ImportOthersMS    *Quantiles `json:"import_others_lateness_ms"`
	BytesPerImported  float64    `json:"bytes_on_disk_per_imported"`
	CountImportMS     float64    `json:"count_import_ms"`
	ImportPostponedS  float64    `json:"import_postponed_s"`
	PostponedCPUS     float64    `json:"import_postponed_cpu_s"`
	ImportCancelledS  float64    `json:"import_cancelled_s"`
	CancelledCPUS     float64    `json:"import_cancelled_cpu_s"`
	BytesPerCancelled float64    `json:"bytes_on_disk_per_cancelled"`
}

func (i *Imported) write(w io.Writer, r *Result) {
	fmt.Fprintf(w, "\n%s, %s: %d schedules imported, due in a year\n", r.Scenario, r.System, r.Messages)
	fmt.Fprintf(w, "  %.0f/s; %.3f CPU ms each; sent again %.0f/s\n", i.ImportedPerS, i.CPUMSPerImported, i.RepeatedPerS)
	if others := i.ImportOthersMS; others != nil {
		fmt.Fprintf(w, "  lateness of others meanwhile: %.0f ms p50, %.0f ms p99, %.0f ms at most\n", others.P50, others.P99, others.Max)
	}
	fmt.Fprintf(w, "  on disk: %.0f bytes each; %.0f once cancelled\n", i.BytesPerImported, i.BytesPerCancelled)
	fmt.Fprintf(w, "  counted by state in %.0f ms\n", i.CountImportMS)
	fmt.Fprintf(w, "  put off as one in %.1f s (%.1f s of CPU), cancelled as one in %.1f s (%.1f s of CPU)\n",
		i.ImportPostponedS, i.PostponedCPUS, i.ImportCancelledS, i.CancelledCPUS)
}
