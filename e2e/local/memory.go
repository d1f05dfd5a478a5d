package local

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// PeakMemory is the most memory that the running program has had resident
// since its start, in bytes, as Linux counts it (VmHWM of proc(5)).
func (p *Process) PeakMemory() (int64, error) {
	if !p.Running() {
		return 0, fmt.Errorf("peak memory of %s: it doesn't run", p.Name)
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
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
