package health

import (
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
)

// MaxContent is what is kept of one object.
const MaxContent = maxContent

// Judge judges one object that was seen.
func Judge(t Target, seen *Seen) (status.Status, string) {
	return judge(t, seen, true, time.Now().Add(time.Minute))
}

// Kept is how much is kept of an object for rules.
func (s *Seen) Kept() int {
	if s.content == nil {
		return 0
	}
	return len(s.content.json)
}
