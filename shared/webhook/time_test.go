package webhook_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/webhook"
)

func TestTimesAreReadAsSendersWriteThem(t *testing.T) {
	for text, want := range map[string]string{
		`"2026-11-23T21:15:03+01:00"`:    "2026-11-23T20:15:03Z",
		`"2023-08-09T00:45:42.8315767Z"`: "2023-08-09T00:45:42.8315767Z",
		`"2019-03-01T10:37:14+0100"`:     "2019-03-01T09:37:14Z",
		`"2019-03-12T20:58:25.400+0000"`: "2019-03-12T20:58:25.4Z",
		`1633686089`:                     "2021-10-08T09:41:29Z",
		`1.633686089e+09`:                "2021-10-08T09:41:29Z",
		`1.6336860895e9`:                 "2021-10-08T09:41:29.5Z",
		`"1633686089510"`:                "2021-10-08T09:41:29.51Z",
		`1633686089510`:                  "2021-10-08T09:41:29.51Z",
		`"2021-10-08T17:37:47"`:          "", // no zone
		`"yesterday"`:                    "", `""`: "", `null`: "", `true`: "", `{}`: "", `[1]`: "", `0`: "", `-5`: "", `1e300`: "", `"NaN"`: "", `"Inf"`: "",
		`"0000-01-01T00:00:00Z"`: "", `"2026-13-01T00:00:00Z"`: "",
	} {
		var got webhook.Time
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		said := ""
		if !got.IsZero() {
			said = got.Format(time.RFC3339Nano)
		}
		if said != want {
			t.Errorf("%s is %q, want %q", text, said, want)
		}
	}
}
