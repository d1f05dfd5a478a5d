package api_test

import (
	"encoding/json"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
)

func TestAShareIsANumberOrAPartOfAll(t *testing.T) {
	for text, most := range map[string]int{`3`: 3, `"3"`: 3, `"50%"`: 5, `"0%"`: 0, `"33%"`: 3, `0`: 0, `"100%"`: 10} {
		var s api.Share
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if s.Exceeded(most, 10) || !s.Exceeded(most+1, 10) {
			t.Errorf("%s of 10 is not %d", text, most)
		}
	}
	for _, text := range []string{`"half"`, `"101%"`, `-1`, `"-5%"`, `1.5`, `"%"`, `""`, `true`, `null1`} {
		var s api.Share
		if err := json.Unmarshal([]byte(text), &s); err == nil {
			t.Errorf("%s is taken for %s", text, s)
		}
	}
	if (*api.Share)(nil).Exceeded(10, 10) {
		t.Error("where nothing is said, nothing is too much")
	}
}
