package mapped

// Age does what happens to m every few seconds.
func Age(m *Mapping) { m.age() }

// Raw returns all that is mapped, and nothing is made resident.
func Raw(m *Mapping) []byte { return m.data }
