package ringfile

// UseSeveralDevices has the process use more than one device, as far as rings can tell, until stop is called.
func UseSeveralDevices() (stop func()) {
	devicesInUse.Add(2)
	return func() { devicesInUse.Add(-2) }
}
