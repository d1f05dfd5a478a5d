package local

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// PeakMemory is the most memory that the running program has had resident
// since its start, in bytes, as Linux counts it (VmHWM of proc(5)).
func (p *Process) PeakMemory() (int64, error) {
	if !p.Running() {
		return 0, fmt.Errorf("peak memory of %s: it doesn't run", p.Name)
	}
	cmd, _ := p.now()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("peak memory of %s: %w", p.Name, err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("peak memory of %s: %w", p.Name, err)
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("peak memory of %s: the kernel doesn't tell it", p.Name)
}

// CPUTime is how long the running program has been at work on all cores, as
// Linux counts it (utime and stime of proc(5), in hundredths of a second).
func (p *Process) CPUTime() (time.Duration, error) {
	if !p.Running() {
		return 0, fmt.Errorf("CPU time of %s: it doesn't run", p.Name)
	}
	cmd, _ := p.now()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("CPU time of %s: %w", p.Name, err)
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the name may have spaces
	fields := strings.Fields(after)
	const user, system = 11, 12
	if len(fields) <= system {
		return 0, fmt.Errorf("CPU time of %s: the kernel doesn't tell it", p.Name)
	}
	var ticks int64
	for _, field := range []string{fields[user], fields[system]} {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("CPU time of %s: %w", p.Name, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100), nil
}
