package report

// Standard names the systems that one is compared with: those with the same
// database.
type Standard struct{ Floor, Naive, Batch16 string }

// Compare writes into each result that has a standard, by its system's name, how it
// stands beside the others in the same scenario.
func Compare(results []Result, standards map[string]Standard) {
	for i := range results {
		if standard, ok := standards[results[i].System]; ok {
			results[i].compare(standard, results)
		}
	}
}

func (r *Result) compare(standard Standard, results []Result) {
	for _, other := range results {
		if other.Scenario != r.Scenario || other.DeliveredPerS == 0 {
			continue
		}
		ratio := Hundredths(r.DeliveredPerS / other.DeliveredPerS)
		switch other.System {
		case standard.Floor:
			r.RatioToFloor = ratio
		case standard.Naive:
			r.RatioToNaive = ratio
			if other.CPUMSPerDelivery > 0 {
				r.CPURatioToNaive = Hundredths(r.CPUMSPerDelivery / other.CPUMSPerDelivery)
			}
		case standard.Batch16:
			r.RatioToBatch16 = ratio
		}
	}
}
