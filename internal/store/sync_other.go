//go:build !linux

package store

const canSyncData = false

func syncData(int) error { panic("store: only Linux syncs data alone here") }
