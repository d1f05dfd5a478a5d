package parts

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-cd/slipway/shared/freeport"
)

// address is where a part listens: at the address that was asked for, else where
// the part in that folder was the last time, else at a free one of loopback, which
// stays its own while it is stopped.
func address(wanted, dir string) (string, error) {
	if wanted != "" || dir == "" {
		return wanted, nil
	}
	remembered := filepath.Join(dir, ".address")
	text, err := os.ReadFile(remembered)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the last time's address: %w", err)
	}
	if last := strings.TrimSpace(string(text)); last != "" && free(last) {
		return last, nil
	}
	addr, err := freeport.Address()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make its folder: %w", err)
	}
	if err := os.WriteFile(remembered, []byte(addr+"\n"), 0o644); err != nil {
		return "", fmt.Errorf("keep the address: %w", err)
	}
	return addr, nil
}

func free(addr string) bool {
	l, err := net.Listen("tcp", addr)
	return err == nil && l.Close() == nil
}
