package rig

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU time in /proc: USER_HZ is 100 on every Linux.
const tick = 10 * time.Millisecond

// CPUTime returns how long the process has run on any core, in user and system mode.
func (p *Process) CPUTime() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of %s: %w", p.name, err)
	}
	return parseCPUTime(string(stat))
}

func parseCPUTime(stat string) (time.Duration, error) {
	// The second field is the command in brackets, which may hold anything.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, errors.New("read the CPU time: not a /proc stat line")
	}
	var ticks int64
	for _, field := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the CPU time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// The lines of /proc status that hold the memory in RAM, and the most it ever was.
const (
	rssNow  = "VmRSS"
	rssPeak = "VmHWM"
)

// Memory returns how many bytes of RAM the process holds.
func (p *Process) Memory() (int64, error) { return p.memory(rssNow) }

// PeakMemory returns the most it held since it started, or since ForgetPeak.
func (p *Process) PeakMemory() (int64, error) { return p.memory(rssPeak) }

func (p *Process) memory(line string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of %s: %w", p.name, err)
	}
	return parseMemory(string(status), line)
}

func parseMemory(status, line string) (int64, error) {
	for text := range strings.Lines(status) {
		value, found := strings.CutPrefix(text, line+":")
		if !found {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the memory: %w", err)
		}
		return kib << 10, nil
	}
	return 0, fmt.Errorf("read the memory: no %s", line)
}

// ForgetPeak makes the peak of memory start again from what the process holds now.
// Where the system forbids it, the peak is that of the process's whole life.
func (p *Process) ForgetPeak() {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.pid), []byte("5"), 0)
}

// Processor returns the name of the machine's first one.
func Processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo") // elsewhere than on Linux there is none
	for line := range strings.Lines(string(info)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
