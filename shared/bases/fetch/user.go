package fetch

import (
	"fmt"
	"os"
	"time"

	"github.com/slipway-cd/slipway/shared/bases"
)

// User brings, as for a person at a terminal, what patterns allow, without
// credentials. What was brought goes with done.
func User(allow []string) (s bases.Source, done func(), err error) {
	if _, err := bases.ParseAllowed(allow); err != nil {
		return nil, nil, err
	}
	dir := ""
	if len(allow) > 0 {
		if dir, err = os.MkdirTemp("", "slipway-bases-"); err != nil {
			return nil, nil, fmt.Errorf("make a folder for remote bases: %w", err)
		}
	}
	client, err := New(Options{Dir: dir, Allow: allow})
	if err != nil {
		return nil, nil, err
	}
	began := time.Now()
	s = client.Source(func(a bases.Address, files bool) (Question, error) {
		return Question{Address: a, Files: files, Since: began}, nil
	})
	return s, func() {
		if dir != "" {
			_ = os.RemoveAll(dir)
		}
	}, nil
}
