CREATE TABLE IF NOT EXISTS {prefix}_outcome (
    coordinator BINARY(16) NOT NULL,
    epoch BIGINT UNSIGNED NOT NULL,
    sequence BIGINT UNSIGNED NOT NULL,
    number SMALLINT UNSIGNED NOT NULL,
    outcome TINYINT UNSIGNED NOT NULL,
    PRIMARY KEY (coordinator, epoch, sequence, number)
) ENGINE = InnoDB DEFAULT CHARACTER SET = binary;
