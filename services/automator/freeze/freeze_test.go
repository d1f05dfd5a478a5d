package freeze_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/slipway-cd/slipway/services/automator/freeze"
	"github.com/slipway-cd/slipway/shared/api"
)

func TestAWindowHoldsFromItsCronForItsDuration(t *testing.T) {
	weekend := api.Freeze{Cron: "0 17 * * FRI", Duration: api.Duration(63 * time.Hour), Timezone: "Europe/Berlin"}
	for name, c := range map[string]struct {
		freeze api.Freeze
		now    string
		end    string // empty: not frozen
	}{
		"before it begins":              {weekend, "2026-11-27T16:59:59+01:00", ""},
		"at its first moment":           {weekend, "2026-11-27T17:00:00+01:00", "2026-11-30T08:00:00+01:00"},
		"in the middle":                 {weekend, "2026-11-29T03:00:00+01:00", "2026-11-30T08:00:00+01:00"},
		"at its last moment":            {weekend, "2026-11-30T07:59:59+01:00", "2026-11-30T08:00:00+01:00"},
		"when it is over":               {weekend, "2026-11-30T08:00:00+01:00", ""},
		"over the end of summer time":   {weekend, "2026-10-25T12:00:00+01:00", "2026-10-26T07:00:00+01:00"}, // 63 h have 25 in one day
		"in another zone than the rule": {weekend, "2026-11-27T16:00:00Z", "2026-11-30T08:00:00+01:00"},
		"UTC where no zone is given":    {api.Freeze{Cron: "0 0 24 12 *", Duration: api.Duration(72 * time.Hour)}, "2026-12-25T00:00:00Z", "2026-12-27T00:00:00Z"},
		"over the end of a year":        {api.Freeze{Cron: "0 0 31 12 *", Duration: api.Duration(48 * time.Hour)}, "2027-01-01T12:00:00Z", "2027-01-02T00:00:00Z"},
		"windows that touch are one":    {api.Freeze{Cron: "0 */6 * * 1", Duration: api.Duration(6 * time.Hour)}, "2026-11-23T01:00:00Z", "2026-11-24T00:00:00Z"},
		"a day that never comes":        {api.Freeze{Cron: "0 0 31 2 *", Duration: api.Duration(time.Hour)}, "2026-11-23T01:00:00Z", ""},
	} {
		t.Run(name, func(t *testing.T) {
			ws, err := freeze.NewWindows([]api.Freeze{c.freeze})
			if err != nil {
				t.Fatal(err)
			}
			now, err := time.Parse(time.RFC3339, c.now)
			if err != nil {
				t.Fatal(err)
			}
			end, _, inside := ws.End(now)
			if inside != (c.end != "") {
				t.Fatalf("frozen is %t until %s", inside, end)
			}
			if want, _ := time.Parse(time.RFC3339, c.end); inside && !end.Equal(want) {
				t.Errorf("ends %s, want %s", end, want)
			}
		})
	}
}

func TestAWrongFreezeIsToldWithItsText(t *testing.T) {
	for _, f := range []api.Freeze{
		{Cron: "61 * * * *", Duration: 1}, {Cron: "often", Duration: 1}, {Cron: "", Duration: 1}, {Cron: "0 0 * * *", Duration: 1, Timezone: "Mars/Olympus"},
	} {
		if _, err := freeze.New(f); err == nil {
			t.Errorf("%+v is taken", f)
		}
	}
}

// Whoever decides again at the end of a window finds it over, or another one.
func TestTheEndIsLaterThanNowAndNotInsideOfTheSameWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, err := freeze.New(api.Freeze{
			Cron:     rapid.SampledFrom([]string{"* * * * *", "0 * * * *", "30 2 * * *", "0 17 * * FRI", "0 0 1 1 *", "15,45 8-18 * * 1-5"}).Draw(t, "cron"),
			Duration: api.Duration(rapid.Int64Range(1, int64(72*time.Hour)).Draw(t, "duration")),
			Timezone: rapid.SampledFrom([]string{"", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"}).Draw(t, "zone"),
		})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(rapid.Int64Range(1_600_000_000, 2_000_000_000).Draw(t, "now"), 0)
		if end, inside := w.End(now); inside && !end.After(now) {
			t.Fatalf("at %s it ends %s", now, end)
		}
	})
}
