package calendar

import "math/bits"

// clock is a set of times of day: all combinations of its hours, minutes and
// seconds, each a set of bits.
type clock struct{ hours, minutes, seconds uint64 }

const (
	allHours   = 1<<24 - 1
	allMinutes = 1<<60 - 1
)

// next is the first time of day that is not before from, in seconds.
func (c clock) next(from int) (int, bool) {
	if from >= secondsPerDay {
		return 0, false
	}
	hour, minute, second := from/3600, from/60%60, from%60
	if c.hours>>hour&1 == 1 {
		if c.minutes>>minute&1 == 1 {
			if s, ok := nextBit(c.seconds, second); ok {
				return hour*3600 + minute*60 + s, true
			}
		}
		if m, ok := nextBit(c.minutes, minute+1); ok {
			return hour*3600 + m*60 + c.firstSecond(), true
		}
	}
	if h, ok := nextBit(c.hours, hour+1); ok {
		return h*3600 + bits.TrailingZeros64(c.minutes)*60 + c.firstSecond(), true
	}
	return 0, false
}

func (c clock) firstSecond() int { return bits.TrailingZeros64(c.seconds) }

func (c clock) len() int {
	return bits.OnesCount64(c.hours) * bits.OnesCount64(c.minutes) * bits.OnesCount64(c.seconds)
}

// at is the i-th time of day, counted from 0.
func (c clock) at(i int) int {
	seconds := bits.OnesCount64(c.seconds)
	minutes := bits.OnesCount64(c.minutes)
	return nthBit(c.hours, i/(seconds*minutes))*3600 + nthBit(c.minutes, i/seconds%minutes)*60 + nthBit(c.seconds, i%seconds)
}

// nextBit is the lowest bit of set that is not below from.
func nextBit(set uint64, from int) (int, bool) {
	if rest := set >> from << from; from < 64 && rest != 0 {
		return bits.TrailingZeros64(rest), true
	}
	return 0, false
}

// nthBit is the n-th lowest bit of set, counted from 0.
func nthBit(set uint64, n int) int {
	for range n {
		set &= set - 1
	}
	return bits.TrailingZeros64(set)
}
