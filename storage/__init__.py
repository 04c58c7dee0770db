"""What is kept between runs: the database, its repositories and migrations. Run tables live in Parquet; rows keep pointers to them."""
