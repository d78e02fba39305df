package sqlite

const direct = 0 // nor are there atomic writes
