"""Log records of user code that say which record of the data they are about. No Apache Beam."""
