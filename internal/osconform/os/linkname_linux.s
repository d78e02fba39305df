// Makes the compiler accept functions without a body, which linkname gives one.
