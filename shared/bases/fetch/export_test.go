package fetch

import "time"

// Age has all that is kept be unused for so much longer.
func Age(c *Client, by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.known {
		e.mu.Lock()
		e.used = e.used.Add(-by)
		e.mu.Unlock()
	}
}
