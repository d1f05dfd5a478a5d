package sync

// setSources notes which ConfigMaps and Secrets wake an application, of those
// that it uses for one thing.
func (a *applications) setSources(key, use string, sources []source) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(sources) == 0 && len(a.uses[key][use]) == 0 {
		return
	}
	for _, all := range a.uses[key] {
		for _, s := range all {
			if delete(a.sourced[s], key); len(a.sourced[s]) == 0 {
				delete(a.sourced, s)
			}
		}
	}
	if a.uses[key] == nil {
		a.uses[key] = map[string][]source{}
	}
	if a.uses[key][use] = sources; len(sources) == 0 {
		delete(a.uses[key], use)
	}
	for _, all := range a.uses[key] {
		for _, s := range all {
			if a.sourced[s] == nil {
				a.sourced[s] = map[string]bool{}
			}
			a.sourced[s][key] = true
		}
	}
	if len(a.uses[key]) == 0 {
		delete(a.uses, key)
	}
}

// wakeSourced wakes the applications whose variables come from a source.
func (a *applications) wakeSourced(s source) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key := range a.sourced[s] {
		a.wanted.drop(key)
		a.wakeups.Add(wakeup{key, ReasonVariables, false})
	}
}
