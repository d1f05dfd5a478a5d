package keychain

import (
	"testing"
	"time"
)

func TestATokenTellsWhenItEnds(t *testing.T) {
	for token, want := range map[string]int64{
		"e30.eyJleHAiOjE3MDAwMDAwMDB9.c2ln": 1_700_000_000, // {"exp":1700000000}
		"e30.e30.c2ln":                      0, "": 0, "a.b": 0, "a.!.c": 0, "e30.eyJleHAiOiJ4In0.c2ln": 0, "e30.eyJleHAiOi0xfQ.c2ln": 0,
	} {
		if got := expiry(token); (want == 0) != got.IsZero() || (want != 0 && got.Unix() != want) {
			t.Errorf("%s ends %v, want %d", token, got, want)
		}
	}
	for ends, least := range map[time.Time]time.Duration{{}: 53 * time.Minute, time.Now().Add(10 * time.Hour): 8 * time.Hour, time.Now().AddDate(1000, 0, 0): 21 * time.Hour} {
		if left := time.Until(renewAt(ends)); left < least || left > least+2*time.Hour {
			t.Errorf("what ends %v is renewed in %s", ends, left)
		}
	}
}

func FuzzExpiry(f *testing.F) {
	f.Add("e30.eyJleHAiOjE3MDAwMDAwMDB9.c2ln")
	f.Fuzz(func(t *testing.T, token string) {
		if at := expiry(token); !at.IsZero() && at.Unix() <= 0 {
			t.Fatalf("it ends %v", at)
		}
	})
}
