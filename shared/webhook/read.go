package webhook

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
)

// piece is the first room that a body gets, before a byte of it is there: ten
// thousand senders that only begin must leave room for those who go on.
const piece = 4 << 10

// read reads a body. Its room grows with what arrives, and so does what it
// holds of the source's share: who only claims a long body, or sends it
// slowly, takes nothing from others. done gives the share back, also after an
// error.
func (e *entry) read(w http.ResponseWriter, r *http.Request) (body []byte, done func(), err error) {
	var held int64
	done = func() { e.gate.release(held) }
	if r.ContentLength > e.maxBody {
		return nil, done, &http.MaxBytesError{Limit: e.maxBody} // without reading on
	}
	whole := e.maxBody + 1 // one more, to see the end
	if r.ContentLength >= 0 {
		whole = r.ContentLength + 1
	}
	in := http.MaxBytesReader(w, r.Body, e.maxBody)
	for {
		if int64(len(body)) == held {
			more := min(max(piece, held), max(whole-held, 1))
			if err := e.gate.hold(r.Context(), more); err != nil {
				return nil, done, err
			}
			held += more
			body = slices.Grow(body, int(held)-len(body))
		}
		n, err := in.Read(body[len(body):held])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			return body, done, nil
		}
		if err != nil {
			return nil, done, err
		}
	}
}

func (e *entry) unread(err error) answer {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, errBusy):
		return answer{status: http.StatusServiceUnavailable, reason: "busy", detail: "too many webhooks of this source at once: send it again", cause: err}
	case errors.As(err, &tooLarge):
		return answer{status: http.StatusRequestEntityTooLarge, reason: "size", detail: fmt.Sprintf("the body is larger than %d bytes", e.maxBody)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return answer{status: http.StatusRequestTimeout, reason: "slow", detail: "the body took too long"}
	default:
		return answer{status: http.StatusBadRequest, reason: "cut", detail: "the body ended before its length"}
	}
}
