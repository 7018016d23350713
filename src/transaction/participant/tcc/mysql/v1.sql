CREATE TABLE IF NOT EXISTS {prefix}_branch (
    coordinator BINARY(16) NOT NULL,
    epoch BIGINT UNSIGNED NOT NULL,
    sequence BIGINT UNSIGNED NOT NULL,
    number SMALLINT UNSIGNED NOT NULL,
    place TINYINT UNSIGNED NOT NULL,
    mark TINYINT UNSIGNED NOT NULL,
    note BLOB NOT NULL,
    PRIMARY KEY (coordinator, epoch, sequence, number, place)
) ENGINE = InnoDB DEFAULT CHARACTER SET = binary;
