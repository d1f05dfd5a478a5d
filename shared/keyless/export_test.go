package keyless

import "time"

// Age lets time pass for what is known of the TUF repository.
func (s *Sigstore) Age(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last.until = s.last.until.Add(-d)
}

// Settle waits for who is asking.
func (s *Sigstore) Settle() {
	s.mu.Lock()
	asking := s.asking
	s.mu.Unlock()
	if asking != nil {
		<-asking
	}
}

// RootsFresh is how long it counts, RootsRefused where nothing could be had.
const (
	RootsFresh   = rootsFresh
	RootsRefused = rootsRefused
)
